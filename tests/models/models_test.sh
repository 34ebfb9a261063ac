#!/bin/sh
# Searches every model for errors, and every mutant of it, in which something is left out that the
# code must do: a mutant without an error means that the model proves nothing.
set -eu

for tool in spin gcc; do
  if ! command -v "$tool" >/dev/null; then
    echo "SKIPPED: $tool is not installed"
    exit 77
  fi
done

models=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
num_failed=0

# search <model> <pass|fail> [-Dname=value...]
search() {
  model=$1 expected=$2
  shift 2
  spin "$@" -a "$models/$model.pml" >spin.log || { cat spin.log; exit 1; }
  gcc -O0 -w -DSAFETY -o pan pan.c
  ./pan -m100000 >pan.log || true
  if ! grep -q 'errors: 0' pan.log; then
    result=fail
    grep -q 'assertion violated' pan.log || result='other error'
  elif grep -q 'max search depth too small' pan.log; then
    result='search not complete'
  else
    result=pass
  fi
  states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log)
  echo "$model $*: $result, $states states"
  if [ "$result" != "$expected" ]; then
    echo "  expected: $expected"
    cat pan.log
    num_failed=$((num_failed + 1))
  fi
}

search hazard pass -DREADERS=1 -DPUBLISHES=4
search hazard pass -DREADERS=2 -DPUBLISHES=1
for mutant in 1 2 3 4; do search hazard fail -DMUTANT=$mutant; done
search mailbox pass
for mutant in 1 2; do search mailbox fail -DMUTANT=$mutant; done
search nudge pass
for mutant in 1 2 3 4; do search nudge fail -DMUTANT=$mutant; done

[ "$num_failed" -eq 0 ]
