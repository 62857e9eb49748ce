#!/bin/sh
# Builds upstream's kube-apiserver, kube-scheduler, etcd and etcd's benchmark tool from their Go modules, and the program that asks kube-scheduler for single
# decisions; containerd with ctr, runc (which needs libseccomp) and two CNI plug-ins, and the program that asks runtimes. Argument: the directory they go to.
set -eu
out=$(realpath -m "$1")
here=$(dirname "$(realpath "$0")")
mkdir -p "$out"
v=k8s.io/component-base/version
stamp="-s -w -X $v.gitVersion=v1.36.3 -X $v.gitMajor=1 -X $v.gitMinor=36 -X $v.gitTreeState=clean"
cd "$here/etcd" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$out/etcd" . # as hack/etcd does
cd "$here/upstream" && for p in kube-apiserver kube-scheduler decide; do
  CGO_ENABLED=0 go build -trimpath -ldflags "$stamp" -o "$out/$p" "./$p"
done
cd "$here/etcdbench" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$out/etcd-benchmark" go.etcd.io/etcd/v3/tools/benchmark
cd "$here/containerd" && for p in containerd/containerd/v2/cmd/containerd containerd/containerd/v2/cmd/containerd-shim-runc-v2 containerd/containerd/v2/cmd/ctr \
  containernetworking/plugins/plugins/main/ptp containernetworking/plugins/plugins/ipam/host-local; do
  CGO_ENABLED=0 go build -trimpath -tags no_btrfs,no_devmapper,no_zfs,no_tracing -ldflags "-s -w" -o "$out/${p##*/}" "github.com/$p"
done
CGO_ENABLED=1 go build -trimpath -tags seccomp -ldflags "-s -w" -o "$out/runc" github.com/opencontainers/runc
cd "$here/../.." && for p in ./cmd/floe-tool ./test/peers/cri; do CGO_ENABLED=0 go build -trimpath -o "$out/${p##*/}" "$p"; done
