#!/bin/sh
# Deploys function.zip as a new version behind the alias `live`:
#
#   ./deploy.sh           a new version, which 10 % of the callers get
#   ./deploy.sh promote   everybody gets the newest version
#   ./deploy.sh rollback  nobody gets it any more
#
# Needs Serverless Devs (`npm install --global @serverless-devs/s`, then `s config add`) and python3. Function Compute
# watches no alarm of its own: look at the log and the metrics, then promote or roll back.
set -eu
cd "$(dirname "$0")"
percent=10 # of the callers get a new version first

# The version of what is on stdin: a version, versions (the newest), aliases (that of live; with `new`, the one it tries).
version_of() {
  python3 -c '
import json, sys
found = json.loads(sys.stdin.read() or "[]")
if isinstance(found, list):
    found = [each for each in found if each.get("aliasName", "live") == "live"]
    found = max(found, key=lambda each: each["versionId"].zfill(9), default={})
weights = found.get("additionalVersionWeight") or {}
print(next(iter(weights), "") if sys.argv[1:] == ["new"] else found.get("versionId", ""))
' "$@"
}

alias_is() { # main version, the version that is tried out and its share
  s alias publish --alias-name live --version-id "$1" --vw "$2"
}

case "${1-}" in
  "")
    s deploy --function -y
    # Where nothing has changed since the last version, there is no other: go on with that one.
    if ! made=$(s version publish --description 1 --silent -o json); then
      case $made in
        *"No changes were made since last publish"*) made=$(s version list --silent -o json) ;;
        *) printf '%s\n' "$made" >&2; exit 1 ;;
      esac
    fi
    version=$(printf %s "$made" | version_of)
    aliases=$(s alias list --silent -o json)
    main=$(printf %s "$aliases" | version_of)
    if [ -z "$main" ] || [ "$version" = "$main" ] || [ "$percent" -eq 0 ]; then
      alias_is "$version" '{}'
    else
      alias_is "$main" "{\"$version\": 0.1}"
    fi
    s deploy --trigger -y
    s provision remove --qualifier live -y >/dev/null 2>&1 || true
    s concurrency remove -y >/dev/null 2>&1 || true
    s info
    ;;
  promote | rollback)
    aliases=$(s alias list --silent -o json)
    main=$(printf %s "$aliases" | version_of)
    new=$(printf %s "$aliases" | version_of new)
    [ -n "$new" ] || { echo "The alias live points at version $main alone; there is nothing to $1." >&2; exit 1; }
    if [ "$1" = promote ]; then main=$new; fi
    alias_is "$main" '{}'
    ;;
  *)
    echo "usage: ./deploy.sh [promote | rollback]" >&2
    exit 2
    ;;
esac
