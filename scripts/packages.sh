# Sourced by the set-up scripts: what is missing, and how to get it.

# Prints those of the named packages that are not installed.
missing_packages() {
  local name installed
  installed=" $(dpkg-query -W -f '${Package} ${Status}\n' "$@" 2>/dev/null |
    sed -n 's/^\([^ ]*\) install ok installed$/\1/p' | tr '\n' ' ')"
  for name in "$@"; do
    [[ $installed == *" $name "* ]] || printf ' %s' "$name"
  done
}

as_root() {
  if [[ $(id -u) == 0 ]]; then
    "$@"
  else
    sudo -n "$@"
  fi
}

require_root() {
  [[ $(id -u) == 0 ]] && return 0
  command -v sudo >/dev/null && sudo -n true 2>/dev/null && return 0
  echo "setup: not root, and no sudo without a password. As root, run scripts/setup, or:" >&2
  echo "  apt-get install --no-install-recommends $*" >&2
  return 1
}

require_debian_12() {
  local id='' version=''
  [[ -r /etc/os-release ]] && id=$(. /etc/os-release && echo "$ID") &&
    version=$(. /etc/os-release && echo "${VERSION_ID-}")
  if [[ $id != debian || $version != 12 ]]; then
    echo "setup: made for Debian 12, this is ${id:-unknown} ${version}; install by hand:$*" >&2
    return 1
  fi
}

# Installs packages without letting any of them start a daemon: a policy file says no to init
# scripts while apt runs, unless the machine has such a file already.
install_packages() {
  require_debian_12 "$@"
  require_root "$@"
  echo "setup: installing: $*"
  local policy=/usr/sbin/policy-rc.d ours=
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    ours=yes
  fi
  local failed=0
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 update &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
      install -y --no-install-recommends "$@" >/dev/null || failed=1
  [[ -z $ours ]] || as_root rm -f "$policy"
  if ((failed)); then
    echo "setup: apt-get could not install: $*" >&2
    return 1
  fi
}

# Unpacks a Debian package into a folder, leaving the system as it is.
unpack_package() {
  local name=$1 to=$2 work
  work=$(mktemp -d)
  chmod 755 "$work"
  (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "$name") || {
    echo "setup: cannot download $name" >&2
    return 1
  }
  rm -rf "$to"
  mkdir -p "$to"
  dpkg-deb -x "$work"/"$name"_*.deb "$to"
  rm -rf "$work"
}
