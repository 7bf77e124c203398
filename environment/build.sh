# Builds the managed environment. Sourced by halofix, which gives repo, cache, managed, say and fail.
#
# $managed holds rootfs (Debian 13 with the wheels in /usr/lib/halofix) or conda, cache (compiled kernels), build.log
# and, written last, "ready": a folder without it is the leftover of an interrupted build and is made anew.

extra_mounts=()
started=$SECONDS
pid=

# What nobody here reads, links or loads: documentation, translations, other languages' compilers, static libraries,
# and OpenMPI's way to AMD graphics cards, which alone brings another LLVM.
unneeded=(
    '/usr/share/doc/*' '/usr/share/man/*' '/usr/share/info/*' '/usr/share/locale/*' '/usr/share/javascript/*'
    '/usr/share/opencascade/data/*' '/usr/share/cmake-*' '/usr/share/lintian/*' '/usr/include/boost/*'
    '/usr/libexec/valgrind/*' '/usr/lib/*/valgrind/*' '/usr/libexec/gcc/*/cc1plus' '/usr/libexec/gcc/*/f951'
    '/usr/libexec/gcc/*/lto1' '/usr/lib/*/lib*san.so*' '/usr/lib/llvm-*/bin/*'
    '/usr/lib/*-linux-gnu/*.a' '/usr/lib/python3*/config-*/*.a'
    '/usr/lib/*/libLLVM-17*' '/usr/lib/*/libLLVM.so.17*' '/usr/lib/*/libamd_comgr*'
    '/usr/lib/*/libamdhip64*' '/usr/lib/*/libhsa-runtime64*' '/usr/lib/*/ucx/*rocm*'
)
needed=(
    '/usr/share/doc/*/copyright' '/usr/share/locale/locale.alias'
    '/usr/lib/*-linux-gnu/libc_nonshared.a' '/usr/lib/gcc/*/libgcc*.a'
)

build() {
    mkdir -p "$cache" || fail "cannot write to $cache" "Set XDG_CACHE_HOME to a folder that you may write to."
    exec 9> "$cache/lock"
    if command -v flock > /dev/null && ! flock -n 9; then
        say "halofix: another halofix is building the environment; waiting for it"
        flock 9
    fi
    if [ ! -e "$managed/ready" ]; then
        trap 'interrupted 130' INT
        trap 'interrupted 143' TERM HUP
        clear_leftover
        build_anew
        trap - INT TERM HUP
    fi
    exec 9>&-
    choose
}

build_anew() {
    local free
    free=$(df -Pk "$cache" 2> /dev/null | awk 'NR == 2 {print int($4 / 1048576)}')
    [ "${free:-4}" -ge 4 ] || fail "the environment needs 4 GB in $cache, of which $free are free" \
        "Make room, or set XDG_CACHE_HOME to a folder elsewhere."
    say "halofix: building the environment, once, in $managed"
    mkdir "$managed"
    local conda
    for conda in mamba micromamba conda; do
        if command -v "$conda" > /dev/null; then
            build_conda "$conda" && return
            command -v apt-get > /dev/null || give_up "$conda could not make the environment"
            say "  $conda could not make it; trying Debian's packages"
            break
        fi
    done
    build_debian
}

build_conda() {  # PROGRAM
    step "packages of environment.yml with $1" \
        guarded KILL env CONDA_ALWAYS_YES=true MAMBA_ALWAYS_YES=true \
        "$1" env create --prefix "$managed/conda" --file "$repo/environment.yml" || return
    step "check" env -u PYTHONPATH PATH="$managed/conda/bin:$PATH" "$managed/conda/bin/python" \
        "$repo/environment/doctor.py" --import || return
    finish conda
}

build_debian() {
    . "$repo/environment/sandbox.sh"
    install_tools
    check_sandbox
    make_userland || give_up "Debian's packages could not be installed"
    local root=$managed/rootfs
    mkdir -p "$root/usr/lib/halofix" "$root/usr/local/share/ca-certificates"
    extra_mounts=(--bind "$root/usr/lib/halofix" /usr/lib/halofix --die-with-parent)
    step "virtual environment" inside python3 -m venv --system-site-packages /usr/lib/halofix &&
        step "wheels" inside python3 -m pip install --no-input --disable-pip-version-check \
            --requirement "$repo/environment/requirements.txt" || give_up "the wheels could not be installed"
    step "check" inside python3 "$repo/environment/doctor.py" --import &&
        step "first compiled forms" inside python3 "$repo/environment/doctor.py" --solve ||
        give_up "the environment does not work"
    extra_mounts=()
    finish debian
}

finish() {  # KIND
    rm -f "$managed/pid" "$managed/scratch" "$managed/apt.conf"
    echo "$1" > "$managed/ready.new" && mv "$managed/ready.new" "$managed/ready"
    say "  done in $((SECONDS - started)) s, $(du -sh "$managed" 2> /dev/null | cut -f 1)B"
}

install_tools() {  # mmdebstrap and bubblewrap: the only two packages that the host itself gets
    local missing=()
    command -v mmdebstrap > /dev/null || missing+=(mmdebstrap)
    command -v bwrap > /dev/null || missing+=(bubblewrap)
    # Relatives of Debian do not all carry its signing keys.
    ls /usr/share/keyrings/debian-archive-keyring.* > /dev/null 2>&1 || missing+=(debian-archive-keyring)
    if [ ${#missing[@]} -gt 0 ]; then
        command -v apt-get > /dev/null || fail "no way to make the environment on this system" \
            "Install mamba, micromamba or conda, or, on Debian and its relatives, mmdebstrap and bubblewrap;" \
            "or name the Python of an environment that has dolfinx in HALOFIX_PYTHON (environment.yml lists the rest)."
        [ "$(id -u)" = 0 ] || fail "not installed: ${missing[*]}" \
            "Ask for: apt-get install mmdebstrap bubblewrap uidmap    (as root), then start again."
        export DEBIAN_FRONTEND=noninteractive
        step "package lists" apt-get update || say "  some package lists could not be updated; going on"
        step "apt-get install ${missing[*]}" apt-get install --yes --no-install-recommends "${missing[@]}" ||
            give_up "apt-get could not install ${missing[*]}"
    fi
    [ "$(id -u)" != 0 ] || return 0
    command -v newuidmap > /dev/null || fail "newuidmap is not installed" "Ask for: apt-get install uidmap    (as root)"
    grep -qE "^($(id -un)|$(id -u)):" /etc/subuid || fail "this user has no subordinate user ids" \
        "Ask for: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -un)    (as root)"
}

host_mirror() {  # the mirror that a Debian host takes its own packages from
    [ "$(. /etc/os-release && echo "$ID")" = debian ] || return
    apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' 'Created-By: Packages' 2> /dev/null |
        awk '$2 == "main" && $1 ~ /\/debian\/?$/ {print $1; exit}'
}

make_userland() {  # Debian 13 in $managed/rootfs, from the host's mirror or else from mmdebstrap's default
    local packages path mirror unpacking
    packages=$(sed -e 's/[[:space:]]*#.*//' -e '/^$/d' "$repo/environment/packages.txt" | paste -sd ,)
    local options=(--variant=apt --verbose "--include=$packages" --aptopt='APT::Install-Recommends "false"')
    options+=(--dpkgopt=force-unsafe-io)  # a build that is cut short is thrown away anyway
    # The host's proxy settings.
    apt-config dump 2> /dev/null | grep -iE '^Acquire::(http|https|ftp)::.*(Proxy|CaInfo)' > "$managed/apt.conf"
    options+=("--aptopt=$managed/apt.conf")
    for path in "${unneeded[@]}"; do options+=("--dpkgopt=path-exclude=$path"); done
    for path in "${needed[@]}"; do options+=("--dpkgopt=path-include=$path"); done
    for mirror in $(host_mirror) ""; do
        rm -rf --one-file-system "$managed/rootfs"
        mkdir "$managed/rootfs"
        if [ "$(id -u)" = 0 ]; then
            # In namespaces of its own: as root, mmdebstrap mounts the host's /dev/shm and more below its target, and
            # were they left there by a killed build, deleting that folder would delete what is in them.
            step "Debian 13" guarded KILL unshare --mount --pid --fork --kill-child --mount-proc \
                mmdebstrap --mode=root "${options[@]}" trixie "$managed/rootfs" $mirror && return
        else
            # The files of an unshared build belong to subordinate users, who may not enter a private home:
            # they are made elsewhere and unpacked as our own.
            [ -e "$managed/scratch" ] || mktemp -d /var/tmp/halofix.XXXXXX > "$managed/scratch"
            chmod 1777 "$(< "$managed/scratch")"
            mkfifo "$managed/fifo"
            tar --extract --directory "$managed/rootfs" --exclude './dev/*' \
                < "$managed/fifo" 2>> "$managed/build.log" 9>&- &
            unpacking=$!
            step "Debian 13" unshared "${options[@]}" && wait $unpacking &&
                rm -r "$managed/fifo" "$(< "$managed/scratch")" && return
            rm -f "$managed/fifo"
        fi
        [ -z "$mirror" ] || say "  the mirror $mirror did not do; trying Debian's own"
    done
    return 1
}

# ---------------------------------------------------------------------------------------------------------------
# Steps and their progress

step() {  # TITLE COMMAND ...: runs it with its output in the log; on a terminal shows the seconds and what goes on
    local title=$1 from=$SECONDS status
    shift
    [ -t 2 ] || say "  $title ..."
    "$@" < /dev/null >> "$managed/build.log" 2>&1 &
    pid=$!
    if [ -t 2 ]; then
        while kill -0 $pid 2> /dev/null; do
            printf '\r\033[K  %s  %d s  %.50s' "$title" $((SECONDS - from)) "$(activity)" >&2
            sleep 0.5
        done
    fi
    wait $pid
    status=$?
    pid=
    [ ! -t 2 ] || printf '\r\033[K' >&2
    [ $status = 0 ] && say "  $title: $((SECONDS - from)) s" || say "  $title: failed after $((SECONDS - from)) s"
    return $status
}

guarded() {  # SIGNAL COMMAND ...: replaces this process; gets SIGNAL when this launcher ends, even when that is killed;
    # a group of its own, which clear_leftover can end as a whole
    echo $BASHPID > "$managed/pid"
    exec setsid setpriv --pdeathsig "$@" 9>&-
}

unshared() {  # OPTIONS: mmdebstrap for an ordinary user
    TMPDIR=$(< "$managed/scratch") \
        guarded TERM mmdebstrap --mode=unshare --format=tar "$@" trixie - $mirror > "$managed/fifo"
}

inside() { kind=debian python=$1 && shift && run "$@"; }

activity() { tail -n 1 "$managed/build.log" | awk '/^Get:/ {$0 = "Downloading " $5} {print}' | tr -cd '[:print:]'; }

clear_leftover() {  # of a build that was interrupted, perhaps by kill -9
    local leader scratch
    leader=$(cat "$managed/pid" 2> /dev/null)
    if [ -n "$leader" ] && grep -qsF "$managed" "/proc/$leader/cmdline"; then kill -KILL -- "-$leader"; fi
    scratch=$(cat "$managed/scratch" 2> /dev/null)
    if [ -n "$scratch" ] && [ -d "$scratch" ]; then
        mmdebstrap --unshare-helper rm -rf "$scratch" 2> /dev/null  # what belongs to subordinate users
        rm -rf --one-file-system "$scratch"
    fi
    ! grep -qsF " $managed/" /proc/self/mountinfo || fail "something is mounted below $managed" \
        "Unmount it first (mount | grep halofix lists it): what is in it would be deleted with the folder."
    rm -rf --one-file-system "$managed"
}

give_up() {
    say "" "The last lines of $managed/build.log:" "$(tail -n 12 "$managed/build.log")" ""
    fail "$1" "Is the network reachable, and the disk not full? The next start begins anew." \
        "An environment that you have already: name its Python in HALOFIX_PYTHON."
}

interrupted() {  # EXIT CODE
    trap 'exit 130' INT TERM HUP  # a second one: without cleaning up, which the next start then does
    say "" "halofix: interrupted; cleaning up. The next start builds the environment anew."
    [ -z "$pid" ] || { disown "$pid" && kill "$pid"; } 2> /dev/null
    clear_leftover
    exit "$1"
}
