
# AWS's own extension that hands invocations to a server as HTTP requests (github.com/awslabs/aws-lambda-web-adapter).
COPY --from=public.ecr.aws/awsguru/aws-lambda-adapter:0.9.1 /lambda-adapter /opt/extensions/lambda-adapter
ENV AWS_LWA_PORT=8080 \
    AWS_LWA_READINESS_CHECK_PATH=/v2/health/ready
