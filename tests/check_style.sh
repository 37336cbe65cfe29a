#!/usr/bin/env bash
# Checks what a reader should not have to: file length, promises of work not done, waiting by sleeping, fixed ports, paths of one
# machine, and formatting when clang-format-19 is there (deploy/setup --checks).
#
# usage: tests/check_style.sh [--fix]      --fix formats the C++ files instead of checking them
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

# Files that git knows or would take; third-party and recorded data excluded.
files() { git ls-files --cached --others --exclude-standard -- "$@" | grep -vE '(^|/)(golden|data|fixtures)/' | while read -r f; do [ ! -f "$f" ] || echo "$f"; done; }
code=('*.cc' '*.h' '*.cu' '*.cuh' '*.rs' '*.py' '*.proto' '*.cmake' '*CMakeLists.txt' '*.sh' 'deploy/*' 'tests/run' '.ci/run')
failed=0

# report TEXT LINES: prints the violations, if any.
report() {
  [ -z "$2" ] && return
  printf '%s:\n%s\n' "$1" "$2" | sed '2,$s/^/  /'
  failed=1
}

if [ "${1:-}" = --fix ]; then
  files '*.cc' '*.h' '*.cu' '*.cuh' | xargs -r -P 2 -n 40 clang-format-19 -i
  exit
fi

mapfile -t all < <(files "${code[@]}" | grep -vx 'tests/check_style.sh')
mapfile -t tests < <(files 'tests/*.cc' 'tests/*.h' 'tests/*.py')

report "files of over 800 lines" "$(wc -l "${all[@]}" | awk '$1 > 800 && $2 != "total"')"
report "promises of work not done" \
  "$(grep -nEi '\b(TODO|FIXME|XXX|not implemented|placeholder|for now)\b' "${all[@]}")"
report "waiting by sleeping, disabled tests" \
  "$([ "${#tests[@]}" -eq 0 ] || grep -nE 'sleep_for|sleep_until|\busleep\(|time\.sleep|DISABLED_' "${tests[@]}")"
report "fixed ports" "$([ "${#tests[@]}" -eq 0 ] || grep -nE ':(5005[0-9]|8080|9090)\b' "${tests[@]}")"
report "paths of one machine" "$(grep -nE '(^|[^A-Za-z0-9_.$}])/(work|root|farm|home)/' "${all[@]}")"

if command -v clang-format-19 >/dev/null; then
  unformatted=$(files '*.cc' '*.h' '*.cu' '*.cuh' | xargs -r -P 2 -n 40 clang-format-19 --dry-run 2>&1 | grep -oE '^[^ :]+:[0-9]+' | sort -u -t: -k1,1)
  report "not as .clang-format says (tests/check_style.sh --fix)" "$unformatted"
else
  echo "style: formatting was not checked: clang-format-19 is missing (deploy/setup --checks)"
fi

echo "style: ${#all[@]} files, $([ "$failed" = 0 ] && echo clean || echo 'violations above')"
exit "$failed"
