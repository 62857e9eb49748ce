// Command generate makes the OpenAPI documents of all kinds. It reads the schemas of the API's types from standard input, as one JSON object by
// component name, and writes the archive that package openapi embeds to the file that its argument names. It runs at the repository's root.
package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/kinds/all"
	"github.com/floe-k8s/floe/internal/kinds/openapi"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(file string) error {
	var schemas map[string]map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&schemas); err != nil {
		return fmt.Errorf("reading schemas: %w", err)
	}
	list := all.Kinds()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
	var paths []string
	docs := map[string]*document{}
	for _, k := range list {
		path := "apis/" + k.GVK.GroupVersion().String()
		if k.GVK.Group == "" {
			path = "api/" + k.GVK.Version
		}
		if docs[path] == nil {
			docs[path] = newDocument(schemas, k.GVK.GroupVersion())
			paths = append(paths, path)
		}
		docs[path].add(k)
	}
	docs["version"] = newDocument(schemas, schema.GroupVersion{})
	docs["version"].addVersion()
	paths = append(paths, "version")
	slices.Sort(paths)
	for _, path := range paths {
		data, err := docs[path].encode()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		sum := sha512.Sum512(data)
		w, err := z.CreateHeader(&zip.FileHeader{Name: path, Method: zip.Deflate, Comment: strings.ToUpper(hex.EncodeToString(sum[:]))})
		if err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	fingerprint, err := openapi.FingerprintOf(list, os.DirFS("."))
	if err != nil {
		return err
	}
	if err := z.SetComment(fingerprint); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(file, out.Bytes(), 0o644)
}
