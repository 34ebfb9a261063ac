#!/usr/bin/env bash
# Every C++ file is as clang-format-19 writes it. Remedy: clang-format-19 -i FILE.
set -euo pipefail
cd "$(dirname "$0")/../.."
git ls-files -z --cached --others --exclude-standard -- '*.cc' '*.h' |
  xargs -0 sh -c 'for f; do [ -f "$f" ] && printf "%s\0" "$f"; done; true' _ |
  xargs -0 --no-run-if-empty clang-format-19 --dry-run -Werror
