#!/bin/bash
# Runs the AVX-512 kernels' own instructions where the CPU lacks them: the tests of the generated
# kernels, under Debian's Linux, in the emulator Bochs as a Skylake-X. Needs root, or sudo, once.
#
#   tools/avx512_check.sh [FILTER]    FILTER: of generated_attention_test, as --gtest_filter;
#                                     by default the kernels of heads of 64 and of any dimension
#
# Bochs is some 300 times slower than the CPU: the default takes 21 minutes of one core. It knows no
# bf16 dot products; those kernels stay emulated. Work files and the log lie in .cache/avx512.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "avx512_check: $1" >&2
  exit 1
}

filter=${1:-'*/avx512_64_64:*/avx512_any:*ThisCpuRunsSome*'}
timeout_s=7200
tools/install_dependencies.sh bochs bochs-term bochsbios vgabios busybox-static cpio grub-pc-bin \
  grub-common xorriso mtools
bazel build --config=ci //tests/runtime/cpu:all

work=$PWD/.cache/avx512
rm -rf "$work"
mkdir -p "$work"/{kernel,root/bin,root/proc,root/dev,iso/boot/grub}

# Debian's kernel, taken from its package without installing it.
kernel=$(apt-cache depends linux-image-cloud-amd64 | awk '$1 == "Depends:" { print $2; exit }')
[ -n "$kernel" ] || fail "apt knows no package linux-image-cloud-amd64; run apt-get update"
(cd "$work/kernel" && apt-get download -qq "$kernel" && dpkg-deb -x ./*.deb .) ||
  fail "no package $kernel; run apt-get update"
cp "$work"/kernel/boot/vmlinuz-* "$work/iso/boot/vmlinuz"

# What boots: busybox, the tests, and the libraries that they load.
tests=(generated_attention_test exp2_test large_scores_test spread_test)
cp /bin/busybox "$work/root/bin/"
for test in "${tests[@]}"; do
  cp -L "bazel-bin/tests/runtime/cpu/$test" "$work/root/bin/"
done
ldd "${tests[@]/#/$work/root/bin/}" | grep -o '/[^ :]* (0x' | cut -d' ' -f1 | sort -u |
  while read -r library; do
    mkdir -p "$work/root/$(dirname "$library")"
    cp -L "$library" "$work/root/$library"
  done
cat > "$work/root/init" << END
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
exec > /dev/ttyS0 2>&1
failed=0
run() { echo "== \$*"; "\$@" --gtest_color=no || failed=1; }
/bin/busybox grep -m1 'model name' /proc/cpuinfo
/bin/busybox grep -q avx512f /proc/cpuinfo || failed=1
run /bin/exp2_test --gtest_filter='*/avx512_any'
run /bin/large_scores_test --gtest_filter='*/avx512*'
run /bin/spread_test
run /bin/generated_attention_test --gtest_filter='$filter'
echo "avx512_check: failed=\$failed"
/bin/busybox sleep 100000
END
chmod +x "$work/root/init"
(cd "$work/root" && find . | cpio -o -H newc 2> /dev/null | gzip -1) > "$work/iso/boot/initrd"

# Bochs states the size of extended state that compacted saves do not have, and Linux would turn AVX
# off: hence without xsavec and xsaves.
cat > "$work/iso/boot/grub/grub.cfg" << 'END'
set timeout=0
menuentry flashcp {
  linux /boot/vmlinuz console=ttyS0 quiet mitigations=off nosmp tsc=reliable clearcpuid=xsavec,xsaves
  initrd /boot/initrd
}
END
grub-mkrescue -o "$work/boot.iso" "$work/iso" > "$work/grub.log" 2>&1
cat > "$work/bochsrc" << END
display_library: term
megs: 1024
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
cpu: model=corei7_skylake_x, ips=200000000, reset_on_triple_fault=0
ata0-master: type=cdrom, path=$work/boot.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$work/log
log: $work/bochs.log
sound: driver=dummy, waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
speaker: enabled=0
plugin_ctrl: speaker=0, es1370=0, sb16=0, voodoo=0, e1000=0, ne2k=0
END
echo c > "$work/commands"  # Debian's Bochs is built with its debugger, which waits for "continue"

echo "avx512_check: booting; follow $work/log" >&2
touch "$work/log"
TERM=xterm timeout "$timeout_s" bochs -q -f "$work/bochsrc" -rc "$work/commands" \
  < /dev/null > "$work/bochs.out" 2>&1 &
trap 'kill $(jobs -p) 2> /dev/null || true' EXIT
# Its display is a terminal of its own, which somebody must read, or Bochs would wait for that.
until display=$(grep -ao '/dev/pts/[0-9]*' "$work/bochs.out"); do
  sleep 1
  kill -0 %1 2> /dev/null || fail "Bochs did not start; see $work/bochs.out"
done
cat "$display" > "$work/display" &
while kill -0 %1 2> /dev/null && ! grep -aq '^avx512_check:' "$work/log"; do sleep 5; done
cat "$work/log"
grep -aq '^avx512_check: failed=0' "$work/log" ||
  fail "tests failed, or did not end in $timeout_s s; see $work/log and bochs.log"
grep -aq 'OK \] All/GeneratedKernelTest.*/avx512_' "$work/log" ||
  fail "no test of the kernels themselves ran; FILTER was $filter"
