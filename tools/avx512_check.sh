#!/bin/bash
# Runs the AVX-512 kernels' own instructions, bf16 dot products too, where the CPU lacks them: the
# tests of the generated kernels, under Debian's Linux, in the emulator Bochs. Needs root, or sudo,
# once.
#
#   tools/avx512_check.sh [FILTER]    FILTER: of generated_attention_test, as --gtest_filter;
#                                     by default the kernels of heads of 64 and of any dimension
#
# Bochs is some hundred times slower than a CPU: the default takes a quarter of an hour of one core;
# building Bochs, once, takes four minutes. Work files and the log lie in .cache/avx512.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "avx512_check: $1" >&2
  exit 1
}

filter=${1:-'*/avx512_64_64:*/avx512_any:*/avx512_bf16_64_64:*/avx512_bf16_any:*ThisCpuRunsAll*'}
timeout_s=7200
tools/install_dependencies.sh bochsbios vgabios busybox-static cpio curl grub-pc-bin grub-common \
  make mtools xorriso xz-utils
bazel build --config=ci //tests/runtime/cpu:all

# Debian 12's Bochs has no bf16 dot products, and its debugger makes it slow: hence the sources of
# Debian 13's.
bochs=$PWD/.cache/bochs-3.0
if [ ! -x "$bochs/bochs" ]; then
  archive=bochs_3.0+dfsg.orig.tar.xz
  mkdir -p "$bochs"
  # Linux does not boot on its CPUs that have the dot products. One that it boots on, Skylake-X,
  # gets them with add_features below, and is made to say so here: CPUID leaf 7, subleaf 1.
  dot_products='/::get_std_cpuid_leaf_7(/,/^}/ {
    s|leaf->eax = 0; .*max sub-leaf.*|leaf->eax = 1;|
    s|^  default:|  case 1:\
    leaf->eax = get_std_cpuid_leaf_7_subleaf_1_eax();\
    leaf->ebx = leaf->ecx = leaf->edx = 0;\
    break;\
  default:|
  }'
  # And its vcvtne2ps2bf16 reads the second half of its result behind the end of a source.
  in_source='s/bfloat16(op1.vmm32u(n))/bfloat16(op1.vmm32u(n - DWORD_ELEMENTS(len)))/'
  (  # a failed step ends it: "set -e" does not hold before ||
    cd "$bochs" &&
      curl -fsSO "https://deb.debian.org/debian/pool/main/b/bochs/$archive" &&
      echo "78f6c73d4a6472d5130a87ab9dc306d02c7c71ed8e25b3a8ef642e2a7acd282b  $archive" |
      sha256sum -c --quiet &&
      tar -xf "$archive" --strip-components=1 &&
      sed -i "$dot_products" cpu/cpudb/intel/corei7_skylake-x.cc &&
      sed -i "$in_source" cpu/avx/avx512_bf16.cc &&
      ./configure --enable-x86-64 --enable-avx --enable-evex --enable-all-optimizations \
        --with-nogui --without-x --disable-docbook --disable-logging &&
      make -j "$(nproc)" bochs
  ) > "$bochs.log" 2>&1 || fail "building Bochs failed; see $bochs.log"
fi

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
tests=(generated_attention_test exp2_test extremes_test large_scores_test)
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
run /bin/exp2_test --gtest_filter='*/avx512*'
run /bin/extremes_test --gtest_filter='*/avx512*'
run /bin/large_scores_test --gtest_filter='*/avx512*'
run /bin/generated_attention_test --gtest_filter='$filter'
echo "avx512_check: failed=\$failed"
/bin/busybox sleep 100000
END
chmod +x "$work/root/init"
(cd "$work/root" && find . | cpio -o -H newc 2> /dev/null | gzip -1) > "$work/iso/boot/initrd"

cat > "$work/iso/boot/grub/grub.cfg" << 'END'
set timeout=0
menuentry flashcp {
  linux /boot/vmlinuz console=ttyS0 quiet mitigations=off nosmp tsc=reliable
  initrd /boot/initrd
}
END
grub-mkrescue -o "$work/boot.iso" "$work/iso" > "$work/grub.log" 2>&1
cat > "$work/bochsrc" << END
display_library: nogui
megs: 1024
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
cpu: model=corei7_skylake_x, add_features=avx512bf16, ips=200000000, reset_on_triple_fault=0
ata0-master: type=cdrom, path=$work/boot.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$work/log
log: $work/bochs.log
END

echo "avx512_check: booting; follow $work/log" >&2
touch "$work/log"
timeout "$timeout_s" "$bochs/bochs" -q -f "$work/bochsrc" < /dev/null > "$work/bochs.out" 2>&1 &
trap 'kill $(jobs -p) 2> /dev/null || true' EXIT
while kill -0 %1 2> /dev/null && ! grep -aq '^avx512_check:' "$work/log"; do sleep 5; done
cat "$work/log"
grep -aq '^avx512_check: failed=0' "$work/log" ||
  fail "tests failed, or did not end in $timeout_s s; see $work/log and bochs.log"
grep -aq 'OK \] All/GeneratedKernelTest.*/avx512_' "$work/log" ||
  fail "no test of the kernels themselves ran; FILTER was $filter"
