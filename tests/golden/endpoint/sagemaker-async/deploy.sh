#!/bin/sh
# Builds the image with Docker, pushes it to ECR and deploys the endpoint with the AWS CLI, for the account and the region
# that the CLI is set to.
#     ./deploy.sh
set -eu
cd "$(dirname "$0")"
NAME=coldpress-digits-endpoint
ACCOUNT=$(aws sts get-caller-identity --query Account --output text)
REGION=${AWS_REGION:-$(aws configure get region)}
: "${REGION:?name the region: export AWS_REGION=...}"
case $REGION in
  cn-*) REGISTRY=$ACCOUNT.dkr.ecr.$REGION.amazonaws.com.cn ;;
  *) REGISTRY=$ACCOUNT.dkr.ecr.$REGION.amazonaws.com ;;
esac
export AWS_REGION="$REGION"

aws ecr describe-repositories --repository-names "$NAME" >/dev/null 2>&1 \
  || aws ecr create-repository --repository-name "$NAME" --image-scanning-configuration scanOnPush=true >/dev/null
aws ecr get-login-password | docker login --username AWS --password-stdin "$REGISTRY"
# SageMaker and Lambda take one image and no list of them, which BuildKit's attestations would make it.
docker build --platform linux/amd64 --provenance=false --tag "$REGISTRY/$NAME:latest" .
docker push "$REGISTRY/$NAME:latest"
# By its digest: a new image is a new endpoint, and the same one changes nothing.
DIGEST=$(aws ecr describe-images --repository-name "$NAME" --image-ids imageTag=latest --query 'imageDetails[0].imageDigest' --output text)

aws cloudformation deploy --stack-name "$NAME" --template-file template.yaml --capabilities CAPABILITY_IAM \
  --parameter-overrides "ImageUri=$REGISTRY/$NAME@$DIGEST" --no-fail-on-empty-changeset
aws cloudformation describe-stacks --stack-name "$NAME" --query 'Stacks[0].Outputs[].[OutputKey, OutputValue]' --output text
