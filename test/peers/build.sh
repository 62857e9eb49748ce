#!/bin/sh
# Builds upstream's kube-apiserver, kube-scheduler, etcd and etcd's benchmark tool from their Go modules, and the program that asks kube-scheduler for single
# decisions. Argument: the directory they go to.
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
