#!/bin/sh
# Makes the two roles that scoring uploads needs, each with one policy; run it once, as somebody who may write RAM:
#
#   coldpress-digits: the function reads uploads and writes scores
#   coldpress-digits-oss: OSS calls the function
#
# Needs Alibaba Cloud's command line (`aliyun`). What is there already stays as it is.
set -eu
cd "$(dirname "$0")"

make_role() { # name, files of ram/
  aliyun ram GetRole --RoleName "$1" >/dev/null 2>&1 ||
    aliyun ram CreateRole --RoleName "$1" --AssumeRolePolicyDocument "$(cat "ram/$2-trust.json")"
  aliyun ram GetPolicy --PolicyType Custom --PolicyName "$1" >/dev/null 2>&1 ||
    aliyun ram CreatePolicy --PolicyName "$1" --PolicyDocument "$(cat "ram/$2-policy.json")"
  aliyun ram ListPoliciesForRole --RoleName "$1" | grep -q "\"$1\"" ||
    aliyun ram AttachPolicyToRole --PolicyType Custom --PolicyName "$1" --RoleName "$1"
}

make_role coldpress-digits function
make_role coldpress-digits-oss oss
