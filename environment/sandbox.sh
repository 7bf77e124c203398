# The Debian 13 userland of the managed environment under bubblewrap. Sourced by halofix and build.sh.

check_sandbox() {  # fails with a remedy where bubblewrap cannot work
    command -v bwrap > /dev/null ||
        fail "bubblewrap is not installed" "As root: apt-get install bubblewrap"
    local message
    message=$(bwrap --ro-bind / / true 2>&1) && return
    if [ "$(id -u)" = 0 ]; then
        fail "bubblewrap cannot make a sandbox here: $message" \
            "In a container, give it the right to: docker run --privileged, or --cap-add SYS_ADMIN with" \
            "--security-opt seccomp=unconfined --security-opt apparmor=unconfined;" \
            "or install environment/packages.txt and environment/requirements.txt in a Debian 13 image itself."
    fi
    fail "bubblewrap cannot make a sandbox here: $message" \
        "Ordinary users need user namespaces. As root, whichever of these exists on this system:" \
        "sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0" \
        "sysctl -w user.max_user_namespaces=15000"
}

mount_userland() {  # ROOT: sets the array "mounts", bubblewrap's arguments
    local root=$1 entry
    mounts=()
    # The Debian 13 system, read-only. /usr/local stays empty and /usr/src away: they are the host's to fill.
    for entry in "$root"/usr/*; do
        case $entry in */local | */src) ;; *) mounts+=(--ro-bind "$entry" "/usr/${entry##*/}") ;; esac
    done
    for entry in bin sbin lib lib64; do
        [ ! -L "$root/$entry" ] || mounts+=(--symlink "usr/$entry" "/$entry")
    done
    for entry in "$root"/etc/*; do
        if [ -e "$entry" ]; then
            mounts+=(--ro-bind "$entry" "/etc/${entry##*/}")
        else  # mtab, a link into /proc that leads nowhere from out here
            mounts+=(--symlink "$(readlink "$entry")" "/etc/${entry##*/}")
        fi
    done
    # Devices, processes and processors (OpenMPI places its ranks by what hwloc reads in /sys).
    mounts+=(--dev-bind /dev /dev --bind /proc /proc --bind /sys /sys)
    # The host's users, network, certificates and pip settings.
    for entry in passwd group hosts resolv.conf localtime timezone pip.conf; do
        [ ! -e "/etc/$entry" ] || mounts+=(--ro-bind "/etc/$entry" "/etc/$entry")
    done
    if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
        mounts+=(--ro-bind /etc/ssl/certs /etc/ssl/certs
            --ro-bind-try /usr/share/ca-certificates /usr/share/ca-certificates
            --ro-bind-try /usr/local/share/ca-certificates /usr/local/share/ca-certificates)
    fi
    # Every other top folder of the host, at its own place.
    for entry in /* /.[!.]*; do
        case $entry in /bin | /dev | /etc | /lib | /lib32 | /lib64 | /libx32 | /proc | /sbin | /sys | /usr) continue ;; esac
        if [ -L "$entry" ]; then
            mounts+=(--symlink "$(readlink "$entry")" "$entry")
        elif [ -d "$entry" ]; then
            mounts+=(--bind "$entry" "$entry")
        fi
    done
}

reach() {  # PATH: makes what lies in /usr or /etc of the host (such as /usr/local/share/scenarios) reachable
    local path top
    path=$(readlink -m -- "$1")
    while [ ! -e "$path" ]; do path=$(dirname "$path"); done
    case $path in
        /usr/local | /usr/local/* | /usr/src | /usr/src/*) ;;
        /usr/* | /etc/*)  # nothing can be added to the userland's own folders
            top=${path#/*/}
            [ ! -e "$root/${path:1:4}${top%%/*}" ] || return ;;
        *) return ;;
    esac
    mounts+=(--bind "$path" "$path")
}

enter_sandbox() {  # ROOT COMMAND ...: does not return
    local root=$1 argument bwrap setpriv
    bwrap=$(command -v bwrap)
    setpriv=$(command -v setpriv)
    shift
    mount_userland "$root"
    for argument in "$PWD" "$repo" "$HOME" "$cache" "${TMPDIR:-/tmp}" "${PIP_CERT:-/}" "${PIP_CONFIG_FILE:-/}" \
        "${SSL_CERT_FILE:-/}" "${REQUESTS_CA_BUNDLE:-/}" "$@"; do
        reach "${argument#--*=}"
    done
    unset HALOFIX_PYTHON
    export HALOFIX_INSIDE=${root%/*} LC_ALL=C.UTF-8
    export PATH=/usr/lib/halofix/bin:/usr/bin:/bin:/usr/sbin:/sbin  # gmsh finds its library through /sbin/ldconfig
    # One machine: ranks talk through memory, and are not tied to the cores that another run may have taken.
    export OMPI_MCA_btl=self,sm PRTE_MCA_hwloc_default_binding_policy=none
    # What is not the host's (/ itself, /usr, /etc) would be gone with the sandbox: nothing can be written there.
    mounts+=(${extra_mounts:+"${extra_mounts[@]}"} --remount-ro / --chdir "$PWD")
    # What runs inside ends when bubblewrap is ended (setpriv).
    [ -z "${extra_mounts:-}" ] || exec "$bwrap" "${mounts[@]}" setpriv --pdeathsig TERM "$@"  # a step of build.sh
    stay_with setpriv --pdeathsig TERM "$@"
}

# bubblewrap would die of the Ctrl-C or SIGTERM that asks what runs inside to stop, and the launcher with it, without
# waiting for the last result. So it ignores them, and the launcher stays, hands on what reaches itself alone, and waits.

stay_with() {  # COMMAND ...: in the sandbox of enter_sandbox; ends with its exit code
    local signal heeded= status
    for signal in INT QUIT TERM; do [ -n "$(trap -p $signal)" ] || heeded+=,$signal; done  # not those of a nohup or &
    (
        trap '' INT QUIT TERM
        exec "$setpriv" --pdeathsig KILL "$bwrap" "${mounts[@]}" ${heeded:+env "--default-signal=${heeded#,}"} "$@"
    ) <&0 &
    pid=$!
    trap 'hand_on INT' INT
    trap 'hand_on TERM' TERM
    heard=1
    while [ -n "$heard" ]; do  # a signal ends "wait" early
        heard=
        wait $pid
        status=$?
    done
    exit $status
}

hand_on() {  # SIGNAL: to what runs inside
    local self child= left=50
    heard=1
    read -ra self < /proc/self/stat
    [ "$1" != INT ] || [ "${self[4]}" != "${self[7]}" ] || return  # Ctrl-C: the terminal has sent it to all of us
    while [ -z "$child" ] && [ $((left--)) -gt 0 ]; do  # it may just be starting
        read -r child _ < "/proc/$pid/task/$pid/children" || [ -n "$child" ] || sleep 0.05
    done
    if [ -n "$child" ]; then kill -s "$1" "$child"; else kill -s KILL $pid; fi
} 2> /dev/null
