// Package openapi has the OpenAPI documents of what floe serves: one of version 2 for everything, and one of version 3 for each group and version.
//
// They are made by `make generate` from the sources of the API's types and from the list of kinds, and stand compressed in one file, in JSON and in
// protobuf. A document is unpacked when it is asked for and not kept: clients cache it by its hash, and a server that nobody asks pays nothing.
// Documents repeat each other nearly word for word, so that the one of version 2 is the dictionary by which all others are unpacked: that makes the
// file a third as large, and reading a small document as dear as reading the largest (see BenchmarkDocuments).
package openapi

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
)

//go:embed documents.zip
var documents []byte

// Form is how a document is written.
type Form string

// The forms. Both of a document have one hash, that of JSON, as upstream's have.
const (
	JSON     Form = "json"
	Protobuf Form = "pb"
)

// Dictionary is the file by which the others are compressed, with a raw dictionary of this number.
const (
	Dictionary   = version2 + "." + string(JSON)
	DictionaryID = 1
	version2     = "v2"
	version3     = "v3/"
)

// Document is one document in one form. It is small: what it says is unpacked when it is read.
type Document struct {
	Hash string // upper-case hexadecimal SHA-512
	file *zip.File
	in   *zip.Reader
}

// Version2 returns the document of version 2.
func Version2(form Form) Document {
	d, ok := document(version2, form)
	if !ok {
		panic("there is no OpenAPI document of version 2") // the generator always makes one
	}
	return d
}

// Version3 returns the document of a path such as "api/v1" or "apis/apps/v1"; ok is false when there is none.
func Version3(path string, form Form) (d Document, ok bool) {
	return document(version3+path, form)
}

// Index returns the hash of each path that has a document of version 3.
func Index() map[string]string {
	out := map[string]string{}
	for _, f := range archive().File {
		if path, ok := strings.CutPrefix(f.Name, version3); ok && strings.HasSuffix(path, "."+string(JSON)) {
			out[strings.TrimSuffix(path, "."+string(JSON))] = f.Comment
		}
	}
	return out
}

// Fingerprint names what the documents were made from (FingerprintOf).
func Fingerprint() string { return archive().Comment }

func archive() *zip.Reader {
	r, err := zip.NewReader(bytes.NewReader(documents), int64(len(documents)))
	if err != nil {
		panic(fmt.Sprintf("the embedded OpenAPI documents: %v", err)) // they are part of the program
	}
	return r
}

func document(name string, form Form) (Document, bool) {
	name += "." + string(form)
	z := archive()
	for _, f := range z.File {
		if f.Name == name {
			return Document{f.Comment, f, z}, true
		}
	}
	return Document{}, false
}

// Read unpacks the document. The caller owns the bytes.
func (d Document) Read() []byte {
	options := []zstd.DOption{zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true)}
	if d.file.Name != Dictionary {
		options = append(options, zstd.WithDecoderDictRaw(DictionaryID, Version2(JSON).Read()))
	}
	d.in.RegisterDecompressor(zstd.ZipMethodWinZip, zstd.ZipDecompressor(options...))
	var out bytes.Buffer
	out.Grow(int(d.file.UncompressedSize64) + bytes.MinRead)
	r, err := d.file.Open()
	if err == nil {
		defer r.Close()
		_, err = io.Copy(&out, r)
	}
	if err != nil {
		panic(fmt.Sprintf("the embedded OpenAPI document %s: %v", d.file.Name, err)) // it is part of the program
	}
	return out.Bytes()
}

// Content is the document for one reader, who may ask for its size before it is unpacked.
func (d Document) Content() io.ReadSeeker {
	return io.NewSectionReader(&content{document: d}, 0, int64(d.file.UncompressedSize64))
}

// content is a document that is unpacked when it is first read.
type content struct {
	document Document
	data     *bytes.Reader // nil: nothing was read yet
}

// ReadAt reads as io.ReaderAt says, but for one reader at a time.
func (c *content) ReadAt(p []byte, offset int64) (int, error) {
	if c.data == nil {
		c.data = bytes.NewReader(c.document.Read())
	}
	return c.data.ReadAt(p, offset)
}
