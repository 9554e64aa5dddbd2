#!/bin/bash
# fastgan's images from cron: one at a time, at low priority, with a log and a time limit, until all are there.
#
#   */30 * * * *  /opt/fastgan/tools/generate_cron.sh -l /var/log/faces.log -t 25m -- runs/faces -n 100000 -o /data/faces
#
# After -- the arguments of `fastgan generate`. Each start goes on where the last one stopped; once all images are there,
# a start finds that and ends. cron knows few folders: let PATH in the crontab name that of fastgan. Options:
#   -l LOG    where output goes (required); LOG.lock is the lock
#   -t TIME   stop after so long, like 25m or 3h, to go on at the next start   [default: never]
#   -s SIZE   rotate LOG at a start when it is larger, in KiB                  [default: 10240]
#   -k COUNT  how many old logs are kept: LOG.1, the youngest, to LOG.COUNT    [default: 5]
#   -n NICE   niceness                                                         [default: 10]
# Exit codes:
#   0   all images are there
#   75  not all, and nothing is wrong: time was up, or an earlier start still runs; the next start goes on
#   64  wrong options
#   73  LOG cannot be written
#   other codes are those of `fastgan generate` (2: a mistake, said in one sentence), or 128 + the signal that ended it
# Every start leaves one summary line in LOG. It also goes to the terminal where there is one, and to standard error when
# the code is none of 0 and 75: cron then mails one line about what has to be mended, and nothing else.
set -uo pipefail

usage() {
    echo "usage: generate_cron.sh -l LOG [-t TIME] [-s KIB] [-k COUNT] [-n NICE] -- MODEL [options of fastgan generate]" >&2
    exit 64
}
log='' limit=0 size=10240 keep=5 niceness=10
while getopts l:t:s:k:n: option; do
    case $option in
        l) log=$OPTARG ;;
        t) limit=$OPTARG ;;
        s) size=$OPTARG ;;
        k) keep=$OPTARG ;;
        n) niceness=$OPTARG ;;
        *) usage ;;
    esac
done
shift $((OPTIND - 1))
whole='^[0-9]+$'
[[ -n $log && $# -gt 0 && $size =~ $whole && $keep =~ $whole && $niceness =~ $whole && $limit =~ ^[0-9]+[smhd]?$ ]] || usage

# summary CODE WORDS: one line, and the end
summary() {
    local line
    line="$(date --iso-8601=seconds) fastgan generate: $2, exit $1"
    echo "$line" >>"$log"
    if [ -t 1 ]; then
        echo "$line"
    elif [ "$1" -ne 0 ] && [ "$1" -ne 75 ]; then
        echo "$line" >&2
    fi
    exit "$1"
}

# The lock belongs to the open file, which what is started here inherits: it ends with the last of them, however it ends.
exec 9>>"$log.lock" || exit 73
flock --nonblock 9 || summary 75 "an earlier start still runs"

if [ -f "$log" ] && [ "$(stat --format=%s "$log")" -gt $((size * 1024)) ]; then
    for ((k = keep; k > 1; k--)); do
        [ ! -f "$log.$((k - 1))" ] || mv "$log.$((k - 1))" "$log.$k"
    done
    if [ "$keep" -gt 0 ]; then mv "$log" "$log.1"; else rm "$log"; fi
fi

begun=$SECONDS
before=$(stat --format=%s "$log" 2>/dev/null || echo 0)
# A limit of 0 is none. What does not end within a minute of being told to is killed, and loses at most a batch.
stopped=''
trap 'stopped=yes; kill -TERM $(jobs -p) 2>/dev/null' TERM INT HUP
nice -n "$niceness" timeout --kill-after=60 "$limit" fastgan generate "$@" >>"$log" 2>&1 &
generating=$!
[ -z "$stopped" ] || kill -TERM "$generating"  # told before there was anything to stop
wait "$generating"
code=$?
[ -z "$stopped" ] || wait "$generating"

took=$((SECONDS - begun))
# What fastgan said; other starts may have left their summaries meanwhile.
said=$(tail --bytes="+$((before + 1))" "$log" | grep --invert-match ' fastgan generate: .*, exit [0-9]*$')
last=$(tail -n 1 <<<"$said")
case $limit in
    *m) limit=$((${limit%m} * 60)) ;;
    *h) limit=$((${limit%h} * 3600)) ;;
    *d) limit=$((${limit%d} * 86400)) ;;
    *) limit=${limit%s} ;;
esac
if [ "$code" -eq 0 ]; then
    counted=$(grep ' images ' <<<"$said" | tail -n 1)
    summary 0 "done after $took s: ${counted:-$last}"
elif [ -n "$stopped" ]; then
    summary 75 "told to stop after $took s, to go on at the next start"
elif [ "$code" -eq 124 ] || { [ "$code" -eq 137 ] && [ "$limit" -gt 0 ] && [ "$took" -ge "$limit" ]; }; then
    summary 75 "time was up after $took s, to go on at the next start"
else
    summary "$code" "failed after $took s: ${last:-no output}"
fi
