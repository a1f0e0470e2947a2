//go:build tools

// Package tools names the servers that tests of the chart are installed on: `make .tools/bin/kube-apiserver`.
package tools

import (
	_ "go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
)
