#!/usr/bin/env bash
# radosgw.sh [COMMAND...] - runs a command beside a gateway of Ceph, which speaks S3: a monitor, one store in memory and radosgw, on
# loopback, in a directory of their own, which end with it. CACHEFS_S3_PORT is its port; the bucket is "test", the key KEY with the
# secret SECRET. Without a command: what conformance says of it, by the dev build. --installed: ends with 77 where Ceph is not there,
# rather than installing it (64 MB).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

if [ "${1:-}" = --installed ]; then
    shift
    for program in ceph ceph-mon ceph-osd ceph-authtool monmaptool radosgw radosgw-admin; do
        command -v $program >/dev/null || { echo "SKIPPED: there is no $program (scripts/packages.sh: radosgw)"; exit 77; }
    done
else
    need_packages radosgw
fi

dir=$(mktemp -d /tmp/cachefs-radosgw-XXXXXX)
pids=()
stop() {
    local code=$?
    [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait
    rm -rf "$dir"
    exit $code
}
trap stop EXIT
trap 'exit 130' INT TERM

# start NAME ARG...: in the background; what it says is in NAME.out
start() {
    local name=$1
    shift
    "$@" >"$dir/$name.out" 2>&1 </dev/null &
    pids+=($!)
}
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
give_up() {
    echo "radosgw.sh: $1" >&2
    tail -n 5 "$dir"/*.out "$dir"/*.log >&2 2>/dev/null || true
    exit 1
}

mkdir "$dir/mon" "$dir/osd" "$dir/run"
fsid=$(cat /proc/sys/kernel/random/uuid)
osd=$(cat /proc/sys/kernel/random/uuid)
mon_port=$(free_port)
port=$(free_port)
export CEPH_CONF=$dir/ceph.conf
cat >"$CEPH_CONF" <<EOF
[global]
fsid = $fsid
mon host = [v2:127.0.0.1:$mon_port/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
run dir = $dir/run
admin socket = $dir/run/\$name.\$pid.asok
log file = $dir/\$name.log
keyring = $dir/admin.keyring
[mon.a]
mon data = $dir/mon
keyring = $dir/mon/keyring
[osd.0]
osd data = $dir/osd
keyring = $dir/osd/keyring
osd objectstore = memstore
memstore device bytes = 4294967296
osd class load list = *
[client.admin]
rgw frontends = beast endpoint=127.0.0.1:$port tcp_nodelay=1
rgw enable apis = s3
EOF
{
    ceph-authtool --create-keyring "$dir/mon.keyring" --gen-key -n mon. --cap mon 'allow *'
    ceph-authtool --create-keyring "$dir/admin.keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
    ceph-authtool "$dir/mon.keyring" --import-keyring "$dir/admin.keyring"
    monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon_port]" "$dir/monmap"
    ceph-mon -i a --mkfs --monmap "$dir/monmap" --keyring "$dir/mon.keyring"
} >"$dir/setup.out" 2>&1 || give_up "the monitor cannot be set up"
start mon ceph-mon -i a -f
{
    timeout 60 ceph auth get-or-create osd.0 mon 'allow profile osd' mgr 'allow profile osd' osd 'allow *' -o "$dir/osd/keyring" &&
        timeout 60 ceph osd new "$osd" && ceph-osd -i 0 --mkfs --osd-uuid "$osd"
} >>"$dir/setup.out" 2>&1 || give_up "the store cannot be set up"
start osd ceph-osd -i 0 -f
timeout 120 radosgw-admin user create --uid=test --display-name=test --access-key=KEY --secret-key=SECRET >>"$dir/setup.out" 2>&1 ||
    give_up "there is no user"
start radosgw radosgw -n client.admin -f
python3 tests/s3/make_bucket.py "$port" >>"$dir/setup.out" 2>&1 || give_up "the bucket cannot be made"

export CACHEFS_S3_PORT=$port
unset CEPH_CONF
[ $# -gt 0 ] || set -- build/dev/tests/conformance objects/s3-given
"$@"
