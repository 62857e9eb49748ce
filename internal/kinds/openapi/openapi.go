// Package openapi has the OpenAPI v3 documents of what floe serves, one for each group and version.
//
// They are made by `make generate` from the sources of the API's types and from the list of kinds, and stand compressed in one file. A document
// is unpacked when it is asked for and not kept: clients cache it by its hash, and a server that nobody asks pays nothing.
package openapi

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"fmt"
	"io"
)

//go:embed documents.zip
var documents []byte

// Document returns the document of a path such as "api/v1" or "apis/apps/v1", and the hash that its content has; ok is false when there is none.
func Document(path string) (json []byte, hash string, ok bool) {
	for _, f := range archive().File {
		if f.Name == path {
			return read(f), f.Comment, true
		}
	}
	return nil, "", false
}

// Hash returns the hash of a path's document, without unpacking it; "" when there is none.
func Hash(path string) string {
	for _, f := range archive().File {
		if f.Name == path {
			return f.Comment
		}
	}
	return ""
}

// Paths lists the paths that have a document.
func Paths() []string {
	var out []string
	for _, f := range archive().File {
		out = append(out, f.Name)
	}
	return out
}

// Fingerprint names the list of kinds that the documents were made for.
func Fingerprint() string { return archive().Comment }

func archive() *zip.Reader {
	r, err := zip.NewReader(bytes.NewReader(documents), int64(len(documents)))
	if err != nil {
		panic(fmt.Sprintf("the embedded OpenAPI documents: %v", err)) // they are part of the program
	}
	return r
}

func read(f *zip.File) []byte {
	r, err := f.Open()
	if err != nil {
		panic(fmt.Sprintf("the embedded OpenAPI document %s: %v", f.Name, err))
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		panic(fmt.Sprintf("the embedded OpenAPI document %s: %v", f.Name, err))
	}
	return data
}
