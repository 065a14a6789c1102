# shellcheck shell=bash
# packages.sh - installs what is missing. Sourced by the other scripts: need_packages GROUP...
# Debian packages only, by apt-get, and only those that are not there yet. CACHEFS_NO_INSTALL=1 forbids it.

packages_of() {
    case "$1" in
    build) echo build-essential cmake ninja-build pkg-config libapr1-dev libxxhash-dev libzstd-dev libfuse3-dev libmicrohttpd-dev libcurl4-openssl-dev libexpat1-dev libssh2-1-dev ;;
    test) echo libcriterion-dev locales prometheus python3 fuse3 attr git sqlite3 rsync procps fio stress-ng acl nginx libnginx-mod-http-dav-ext apache2-bin lighttpd lighttpd-mod-webdav openssl openssh-server openssh-client s3fs ;;
    clang) echo clang ;;
    valgrind) echo valgrind libc6-dbg ;;
    lint) echo clang clang-tidy cppcheck ;;
    coverage) echo gcovr ;;
    docs) echo doxygen ;;
    charts) echo gnuplot-nox ;;
    mount-bench) echo fuse3 rclone fio ;;
    radosgw) echo radosgw ceph-mon ceph-osd ceph-common python3 ;;
    remote-bench) echo fuse3 sshfs rclone s3fs davfs2 nginx libnginx-mod-http-dav-ext python3 openssh-server openssh-client ;;
    *) echo "packages.sh: no group $1" >&2; return 1 ;;
    esac
}

need_packages() {
    local group name missing="" sudo=""
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        echo "This is no Debian: what these packages bring must be there already:"
        for group in "$@"; do packages_of "$group"; done
        return 0
    fi
    for group in "$@"; do
        for name in $(packages_of "$group"); do
            if ! dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed'; then
                missing="$missing $name"
            fi
        done
    done
    [ -n "$missing" ] || return 0
    if [ -n "${CACHEFS_NO_INSTALL:-}" ]; then
        echo "Missing Debian packages:$missing" >&2
        return 1
    fi
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "Missing Debian packages:$missing" >&2
            echo "Installing them takes root. As root: apt-get install$missing" >&2
            return 1
        fi
        sudo=sudo
        echo "Installing takes root: sudo may ask for your password."
    fi
    echo "Installing Debian packages:$missing"
    # shellcheck disable=SC2086 # these are lists of words
    if ! $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; then
        # the lists may be missing or old
        $sudo apt-get update
        # shellcheck disable=SC2086
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
    fi
}

# need_s3rver: the server of S3 that some tests use, by npm, into build/npm; without npm, or where it cannot be had, they say SKIPPED.
need_s3rver() {
    [ ! -e build/npm/node_modules/s3rver/package.json ] || return 0
    [ -z "${CACHEFS_NO_INSTALL:-}" ] && command -v npm >/dev/null || return 0
    mkdir -p build/npm
    npm install --no-audit --no-fund --prefix build/npm s3rver@3.7.1 >build/npm/install.log 2>&1 ||
        echo "s3rver cannot be installed (build/npm/install.log): its tests are skipped"
}
