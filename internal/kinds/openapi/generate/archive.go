package generate

import (
	"archive/zip"
	"bytes"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/klauspost/compress/zstd"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/handler3"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/openapi"
)

// window is how far back, in bytes, compression looks: over the whole dictionary and a document. Reading takes as much memory.
const window = 4 << 20

// Write makes the documents of the kinds and puts them into a file, as package openapi reads it. It runs at the repository's root, since the
// file bears the fingerprint of what it was made from.
func Write(file string, list []*kinds.Kind, definitions common.GetOpenAPIDefinitions) error {
	docs, err := Documents(list, definitions)
	if err != nil {
		return err
	}
	fingerprint, err := openapi.FingerprintOf(list, os.DirFS("."))
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := archive(&out, docs, fingerprint); err != nil {
		return fmt.Errorf("the archive of documents: %w", err)
	}
	return os.WriteFile(file, out.Bytes(), 0o644)
}

// Documents makes the documents of the kinds in JSON, by name: "v2", and "v3/" followed by each path that the index of version 3 has.
func Documents(list []*kinds.Kind, definitions common.GetOpenAPIDefinitions) (map[string][]byte, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	names, err := namer(scheme)
	if err != nil {
		return nil, err
	}
	return source{list, definitions, scheme, names}.documents()
}

// archive writes each document in both forms, with its hash as the comment. Documents repeat each other: one is the dictionary of all others.
func archive(to io.Writer, docs map[string][]byte, comment string) error {
	z := zip.NewWriter(to)
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		encode := handler3.ToV3ProtoBinary
		if name == "v2" {
			encode = handler.ToProtoBinary
		}
		proto, err := encode(docs[name])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		hash := fmt.Sprintf("%X", sha512.Sum512(docs[name])) // of both forms, as upstream
		err = errors.Join(
			put(z, name+"."+string(openapi.JSON), hash, docs[name], docs["v2"]), put(z, name+"."+string(openapi.Protobuf), hash, proto, docs["v2"]),
		)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := z.SetComment(comment); err != nil {
		return err
	}
	return z.Close()
}

// put writes one file.
func put(z *zip.Writer, name, hash string, data, dictionary []byte) error {
	options := []zstd.EOption{zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window)}
	if name != openapi.Dictionary {
		options = append(options, zstd.WithEncoderDictRaw(openapi.DictionaryID, dictionary))
	}
	z.RegisterCompressor(zstd.ZipMethodWinZip, zstd.ZipCompressor(options...))
	w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zstd.ZipMethodWinZip, Comment: hash})
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}
