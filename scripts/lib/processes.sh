# shellcheck shell=bash
# Background processes of a script: each has a pid file, and is stopped by the pid in it, never by a name.
#
# A pid file holds "PID STARTED", STARTED being the process's start time in clock ticks since boot: when the machine
# has given the pid to somebody else's process since, that process is not ours and is left alone.

# process_started PID: when it started; fails when there is none, or only a zombie that nobody has waited for.
process_started() {
  local line fields
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
  # The second field is the program's name in brackets, which may contain spaces: count from after it.
  read -r -a fields <<<"${line##*) }"
  [ "${fields[0]}" != Z ] || return 1
  printf '%s\n' "${fields[19]}"
}

# process_alive PIDFILE: prints the pid when the process that was started under this file still runs.
process_alive() {
  local pid started
  { read -r pid started <"$1"; } 2>/dev/null || return 1
  [ "$(process_started "$pid")" = "$started" ] || return 1
  printf '%s\n' "$pid"
}

# start_process PIDFILE LOG COMMAND...: in the background, in a session of its own, so that a Ctrl-C meant for the
# script does not kill it before the script has stopped it in order. Output is appended to LOG. KEEP_SESSION=yes: in the
# script's session, whose processes share the processors by their nice values, which those of two sessions need not.
start_process() {
  local pid_file=$1 log=$2 pid started session=(setsid)
  [ -z "${KEEP_SESSION:-}" ] || session=()
  shift 2
  if process_alive "$pid_file" >/dev/null; then
    printf 'error: %s names a process that runs already\n' "$pid_file" >&2
    return 1
  fi
  mkdir -p "$(dirname "$pid_file")" "$(dirname "$log")"
  "${session[@]}" "$@" >>"$log" 2>&1 </dev/null &
  pid=$!
  # The shell is not to report its end as a job's: who stops it does.
  disown "$pid"
  # One that ends at once leaves no start time: say so with the end of its log.
  if ! started=$(process_started "$pid"); then
    printf 'error: %s ended as soon as it was started; the end of %s:\n' "$1" "$log" >&2
    tail -n 20 "$log" >&2
    return 1
  fi
  printf '%s %s\n' "$pid" "$started" >"$pid_file"
}

# stop_process PIDFILE [GRACE_S]: asks (SIGTERM), waits up to GRACE_S seconds (10), then kills its group and says so.
# Fine when it has ended already. Returns when it is gone.
stop_process() {
  local pid_file=$1 grace_s=${2:-10} pid waited_ms=0
  if pid=$(process_alive "$pid_file"); then
    kill -TERM "$pid" 2>/dev/null || true
    while process_alive "$pid_file" >/dev/null; do
      if [ "$waited_ms" -ge $((grace_s * 1000)) ]; then
        printf 'process %s (%s) did not end within %s s: killing it\n' "$pid" "$pid_file" "$grace_s" >&2
        # Its whole group, where it leads one: what it started in turn would be nobody's.
        kill -KILL -- "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null || true
      fi
      sleep 0.1
      waited_ms=$((waited_ms + 100))
    done
  fi
  rm -f "$pid_file"
}

# kill_process PIDFILE: SIGKILL, as a crash would have it; for the tests of crashes.
kill_process() {
  local pid
  pid=$(process_alive "$1") || return 0
  kill -KILL "$pid"
  while process_alive "$1" >/dev/null; do sleep 0.05; done
  rm -f "$1"
}

# stop_all DIRECTORY [GRACE_S]: stops the process of each *.pid below DIRECTORY. All are asked first, then awaited.
stop_all() {
  local pid_file pid
  while IFS= read -r pid_file; do
    if pid=$(process_alive "$pid_file"); then kill -TERM "$pid" 2>/dev/null || true; fi
  done < <(find "$1" -name '*.pid' 2>/dev/null)
  while IFS= read -r pid_file; do
    stop_process "$pid_file" "${2:-10}"
  done < <(find "$1" -name '*.pid' 2>/dev/null)
}

# leftovers DIRECTORY: names each process that runs with DIRECTORY in its command line; fails when there is one.
# To be asked after stop_all: a child that outlived its parent is found here.
leftovers() {
  local entry pid command found=0
  for entry in /proc/[0-9]*/cmdline; do
    pid=${entry#/proc/}
    pid=${pid%/cmdline}
    case "$pid" in "$$" | "$BASHPID" | "$PPID") continue ;; esac
    command=$({ tr '\0' ' ' <"$entry"; } 2>/dev/null) || continue
    if [[ "$command" == *"$1"* ]] && process_started "$pid" >/dev/null; then
      printf 'still running: %s %s\n' "$pid" "$command" >&2
      found=1
    fi
  done
  [ "$found" = 0 ]
}

# wait_until TIMEOUT_S WHAT PIDFILE COMMAND...: until the command succeeds. Fails when the time is over or when the
# process of PIDFILE has ended meanwhile (PIDFILE may be empty).
wait_until() {
  local timeout_s=$1 what=$2 pid_file=$3 started=$SECONDS
  shift 3
  until "$@" >/dev/null 2>&1; do
    if [ -n "$pid_file" ] && ! process_alive "$pid_file" >/dev/null; then
      printf 'error: the process ended while waiting for %s (%s)\n' "$what" "$pid_file" >&2
      return 1
    fi
    if [ $((SECONDS - started)) -ge "$timeout_s" ]; then
      printf 'error: no %s after %s s\n' "$what" "$timeout_s" >&2
      return 1
    fi
    sleep 0.1
  done
}

# port_open PORT: does something on this machine accept connections there?
port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# wait_for_port PORT TIMEOUT_S [PIDFILE]
wait_for_port() { wait_until "$2" "listener on port $1" "${3:-}" port_open "$1"; }

# wait_for_socket PATH TIMEOUT_S [PIDFILE]
wait_for_socket() { wait_until "$2" "socket $1" "${3:-}" test -S "$1"; }
