// Command controlplane is a Kubernetes control plane for tests, in one file.
//
// The first argument, or else the name it was started under, chooses the part:
// etcd, kube-apiserver, kube-controller-manager or kubectl. Each is the
// upstream program and takes the upstream flags, so a folder of released
// binaries can stand in for this one. They are separate processes because
// their feature gates register in the same process-wide table, and because a
// test that stops the API server wants etcd to stay.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

const usage = "usage: controlplane etcd|kube-apiserver|kube-controller-manager|kubectl [flags]"

func main() {
	part := filepath.Base(os.Args[0])
	if !known(part) {
		if len(os.Args) < 2 || !known(os.Args[1]) {
			fmt.Fprintln(os.Stderr, usage)
			os.Exit(2)
		}
		// The parts read os.Args themselves and expect their own name first.
		os.Args = os.Args[1:]
		part = os.Args[0]
	}
	run(part)
}

func known(part string) bool {
	switch part {
	case "etcd", "kube-apiserver", "kube-controller-manager", "kubectl":
		return true
	}
	return false
}

func run(part string) {
	switch part {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		serve(apiserver.NewAPIServerCommand())
	case "kube-controller-manager":
		serve(controllermanager.NewControllerManagerCommand())
	case "kubectl":
		// kubectl words its own errors; printing them again would double them.
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			cmdutil.CheckErr(err)
		}
	}
}

func serve(command *cobra.Command) {
	os.Exit(cli.Run(command))
}
