# Sourced by the scripts here: progress on standard error, a bar on a terminal and plain lines elsewhere.

say() { printf '%s\n' "$*" >&2; }

fail() {
  [ -t 2 ] && printf '\r\033[K' >&2
  say "error: $*"
  exit 1
}

# step TEXT: starts a timed step.  done_step: closes it and says how long it took.
step() {
  GWQ_STEP=$1 GWQ_STEP_START=$SECONDS GWQ_BAR_SHOWN=-1
  say "==> $1"
}
done_step() { say "    done: $GWQ_STEP ($((SECONDS - GWQ_STEP_START)) s)"; }

# bar PERCENT TEXT: one line that is drawn again on a terminal; elsewhere a line every quarter.
GWQ_BAR_SHOWN=-1
bar() {
  local percent=$1 text=$2 filled
  if [ -t 2 ]; then
    filled=$((percent * 30 / 100))
    printf '\r\033[K    [%-30s] %3d%% %.60s' "$(printf '%*s' "$filled" '' | tr ' ' '#')" "$percent" "$text" >&2
    [ "$percent" -lt 100 ] || printf '\r\033[K' >&2
  elif [ $((percent / 25)) -gt "$GWQ_BAR_SHOWN" ]; then
    GWQ_BAR_SHOWN=$((percent / 25))
    say "    $percent% $text"
  fi
}
