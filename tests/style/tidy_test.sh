#!/usr/bin/env bash
# clang-tidy-19 over what changed: the .cc files that differ from where this branch left main (on
# main itself: from the commit before), and those named like a changed header. Takes at most
# SLUICE_TIDY_SECONDS (240): files that it did not reach are named and do not fail.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${SLUICE_BIN_DIR:-build/dev}
seconds=${SLUICE_TIDY_SECONDS:-240}
[[ -e $build/compile_commands.json ]] || { echo "no $build/compile_commands.json"; exit 77; }

base=
for candidate in "$(git merge-base HEAD origin/main 2>/dev/null || true)" \
  "$(git rev-parse -q --verify HEAD~1 || true)"; do
  if [[ -n $candidate && $candidate != "$(git rev-parse HEAD)" ]]; then
    base=$candidate
    break
  fi
done
[[ -n $base ]] || { echo "no commit to compare with"; exit 77; }

mapfile -t changed < <(
  { git diff --name-only "$base" -- '*.cc' '*.h'
    git ls-files --others --exclude-standard -- '*.cc' '*.h'; } |
    sed 's/\.h$/.cc/' | sort -u)
files=()
for file in "${changed[@]}"; do
  [[ -f $file ]] && grep -q "\"file\": \"[^\"]*/$file\"" "$build/compile_commands.json" &&
    files+=("$file")
done
echo "${#files[@]} changed files since ${base:0:10}"
((${#files[@]})) || exit 0

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
export build results
deadline=$((SECONDS + seconds))
check() {
  local log=$results/${1//\//_}
  if clang-tidy-19 --quiet -p "$build" "$1" >"$log.log" 2>/dev/null; then
    touch "$log.good"
  else
    touch "$log.bad"
  fi
}
export -f check
printf '%s\0' "${files[@]}" |
  timeout $((deadline - SECONDS)) xargs -0 -n1 -P"$(nproc)" bash -c 'check "$0"' || true

bad=0
for file in "${files[@]}"; do
  log=$results/${file//\//_}
  if [[ -e $log.bad ]]; then
    cat "$log.log"
    bad=$((bad + 1))
  elif [[ ! -e $log.good ]]; then
    echo "not reached in $seconds s: $file"
  fi
done
echo "$bad files with findings"
((bad == 0))
