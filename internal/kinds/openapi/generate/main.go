//go:build ignore

// The program that makes documents.zip, which its argument names, and prints the schemas of the API's types by name. It is no part of any package: the
// definitions that it imports are there only while hack/generate runs.
package main

import (
	"fmt"
	"os"

	"github.com/floe-k8s/floe/internal/kinds/all"
	"github.com/floe-k8s/floe/internal/kinds/openapi/definitions"
	"github.com/floe-k8s/floe/internal/kinds/openapi/generate"
)

func main() {
	err := generate.Write(os.Args[1], all.Kinds(), definitions.GetOpenAPIDefinitions)
	if err == nil {
		err = generate.Schemas(os.Stdout, definitions.GetOpenAPIDefinitions)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}
