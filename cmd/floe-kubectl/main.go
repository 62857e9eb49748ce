// Command floe-kubectl is kubectl, built from k8s.io/kubectl, as `floe kubectl` runs it: the same commands, flags, plug-ins and exit codes.
//
// It is carried in the floe program, not linked into it, so that a server does not pay for it.
package main

import (
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	// Credentials of the clouds, as upstream's kubectl has them.
	_ "k8s.io/client-go/plugin/pkg/client/auth"
)

func main() {
	// RunNoErrOutput leaves printing to kubectl itself, which knows more about its errors.
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		cmdutil.CheckErr(err)
	}
}
