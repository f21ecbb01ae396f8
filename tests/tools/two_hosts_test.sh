#!/bin/bash
# two_hosts_test.sh FLASHCP RUN_MPI LENGTHS: runs a plan on two ranks that share no network but a
# veth pair, each in a network namespace of its own; then cuts the link in the middle of a run.
set -eu

# All of it in new namespaces, which leave nothing behind.
if [ "${TWO_HOSTS_INSIDE:-}" != yes ]; then
  if ! command -v ip >/dev/null; then
    echo "SKIPPED: there is no ip, of Debian's iproute2" && exit 0
  fi
  if ! reason=$(unshare -Urn ip link add one type veth peer name two 2>&1); then
    echo "SKIPPED: network namespaces cannot be made here: $reason" && exit 0
  fi
  TWO_HOSTS_INSIDE=yes exec unshare -Urn "$0" "$@"
fi

flashcp=$PWD/$1 run_mpi=$PWD/$2 lengths=$PWD/$3
cd "$TEST_TMPDIR"

unshare -n sleep 1000 &
other=$!
trap 'kill $other' EXIT
while [ "$(readlink /proc/$other/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do sleep 0.05; done
ip link set lo up
ip link add one type veth peer name two netns $other
ip addr add 10.9.0.1/24 dev one
ip link set one up
nsenter --net=/proc/$other/ns/net sh -ec '
  ip link set lo up
  ip addr add 10.9.0.2/24 dev two
  ip link set two up'

# How mpirun starts a program on the other host, in place of ssh: agent HOST COMMAND...
cat > agent <<EOF
#!/bin/sh
shift
exec nsenter --net=/proc/$other/ns/net sh -c "\$*"
EOF
chmod +x agent
on_two_hosts() {
  timeout 60 "$run_mpi" 2 --host 10.9.0.1:1,10.9.0.2:1 --mca plm rsh --mca plm_rsh_agent "$PWD/agent" \
    --mca btl self,tcp --mca btl_tcp_if_include 10.9.0.0/24 --mca oob_tcp_if_include 10.9.0.0/24 \
    "$@"
}

"$flashcp" compile "$lengths" --ranks 2 --heads 4:2 --head-dim 32 -o plan --quiet
bytes_sent() { awk '$1 == "one:" { print $10 }' /proc/net/dev; }
before=$(bytes_sent)
on_two_hosts "$flashcp" run plan --transport mpi --check | tee out
grep -q '^check against float64: ok' out
sent=$(($(bytes_sent) - before))
echo "$sent bytes went from rank 0 to rank 1"
[ "$sent" -gt 300000 ]  # its inputs alone: Q, K and V of half of 2048 tokens, 256 bytes each

# The link comes back once rank 0 has said what it missed: mpirun waits for the other host.
on_two_hosts "$flashcp" run plan --transport mpi --iterations 1000000 --timeout 3 2>&1 |
  while IFS= read -r line; do
    echo "$line"
    case $line in
      *"the first of 1000000 iterations"*) ip link set one down ;;
      *"rank 0 waited 3s for rank 1"*) ip link set one up ;;
    esac
  done > cut || true
cat cut
grep -q 'flashcp: iteration .*rank 0 waited 3s for rank 1' cut
grep -q 'flashcp: iteration .*rank 1[,:].* waited 3s for rank' cut  # by itself, or told by rank 0
