package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// ErrContent says that a server sent something else than what it was asked for: another digest, another size, too much.
var ErrContent = errors.New("wrong content")

// errSink says that what came could not be kept; no other attempt or host helps.
var errSink = errors.New("cannot be kept")

// Document is a manifest or an index as a registry sent it.
type Document struct {
	// MediaType is what the document says it is, or else what the registry said.
	MediaType types.MediaType
	// Digest is that of Data, "sha256:HEX".
	Digest string
	Data   []byte
}

// accepted are the documents that are understood, the preferred ones first.
var accepted = strings.Join([]string{
	string(types.OCIImageIndex), string(types.OCIManifestSchema1), string(types.DockerManifestList), string(types.DockerManifestSchema2), "*/*",
}, ", ")

// Manifest reads the document that ref means: a digest ("sha256:…") or a tag. Hosts that may not resolve are not asked for a tag. The error is
// ErrNotFound when all that were asked have none, ErrUnauthorized when one refuses.
func (r *Repository) Manifest(ctx context.Context, ref string) (*Document, error) {
	can := Pull | Resolve
	if strings.Contains(ref, ":") {
		can = Pull
	}
	hosts, err := r.able(can)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, e := range hosts {
		d, err := r.manifestFrom(ctx, e, ref)
		if err == nil {
			return d, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("%s/%s: manifest %s: %w", r.registry, r.name, ref, errors.Join(errs...))
}

func (r *Repository) manifestFrom(ctx context.Context, e *endpoint, ref string) (*Document, error) {
	p := pacer{client: r.client}
	for {
		d, err := r.manifestOnce(ctx, e, ref)
		if err == nil || !p.again(ctx, err) {
			return d, err
		}
	}
}

func (r *Repository) manifestOnce(ctx context.Context, e *endpoint, ref string) (*Document, error) {
	resp, err := r.get(ctx, e, "/manifests/"+ref, http.Header{"Accept": {accepted}})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	limit := r.client.cfg.Document
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Root.Host, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: a document of more than %d bytes: %w", e.Root.Host, limit, ErrContent)
	}
	sum := sha256.Sum256(data)
	d := &Document{Digest: "sha256:" + hex.EncodeToString(sum[:]), Data: data}
	for _, want := range []string{ref, resp.Header.Get("Docker-Content-Digest")} {
		if strings.HasPrefix(want, "sha256:") && want != d.Digest {
			return nil, fmt.Errorf("%s: the document has digest %s instead of %s: %w", e.Root.Host, d.Digest, want, ErrContent)
		}
	}
	if d.MediaType, err = mediaType(data, resp.Header.Get("Content-Type")); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", e.Root.Host, err, ErrContent)
	}
	return d, nil
}

// mediaType is what a document says it is, or else what the header says. A document that could be read as manifest and as index is refused: its
// digest would mean two images.
func mediaType(data []byte, header string) (types.MediaType, error) {
	var head struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     types.MediaType `json:"mediaType"`
		Config        json.RawMessage `json:"config"`
		Layers        json.RawMessage `json:"layers"`
		Manifests     json.RawMessage `json:"manifests"`
		FSLayers      json.RawMessage `json:"fsLayers"`
	}
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&head); err != nil {
		return "", fmt.Errorf("the document is no manifest: %w", err)
	}
	image, index := head.Config != nil || head.Layers != nil, head.Manifests != nil
	said := head.MediaType
	if parsed, _, err := mime.ParseMediaType(header); said == "" && err == nil {
		said = types.MediaType(parsed)
	}
	switch {
	case head.FSLayers != nil || head.SchemaVersion == 1:
		return "", errors.New("the image has a manifest of Docker's schema 1, which is not supported any more")
	case image && index:
		return "", errors.New("the document is manifest and index at once")
	case said.IsImage() && !index, said.IsIndex() && !image:
		return said, nil
	case image && !said.IsIndex():
		return types.OCIManifestSchema1, nil
	case index && !said.IsImage():
		return types.OCIImageIndex, nil
	}
	return "", fmt.Errorf("the document is of media type %q, which is neither image nor index", said)
}

// Sink takes a blob. Fetch calls it from one goroutine.
type Sink interface {
	// Offset is how many of the blob's bytes it has.
	Offset() int64
	// Write appends. Its error ends the Fetch.
	io.Writer
	// Verify is called when all bytes are there; ErrContent means that they are the wrong ones.
	Verify() error
	// Reset throws all bytes away.
	Reset() error
}

// Fetch reads the blob of a digest and size into sink, from the sink's offset on. A broken connection is taken up where it ended; a host whose
// bytes have the wrong digest is not asked again. The errors are those of Manifest, ErrContent, and the sink's.
func (r *Repository) Fetch(ctx context.Context, digest string, size int64, sink Sink) error {
	hosts, err := r.able(Pull)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range hosts {
		err := r.fetchFrom(ctx, e, digest, size, sink)
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", e.Root.Host, err))
		if ctx.Err() != nil || errors.Is(err, errSink) {
			break
		}
	}
	return fmt.Errorf("%s/%s: blob %s: %w", r.registry, r.name, digest, errors.Join(errs...))
}

func (r *Repository) fetchFrom(ctx context.Context, e *endpoint, digest string, size int64, sink Sink) error {
	p := pacer{client: r.client}
	for {
		before := sink.Offset()
		err := r.fetchOnce(ctx, e, digest, size, sink)
		if err == nil {
			err = sink.Verify()
		}
		if err == nil {
			return nil
		}
		if errors.Is(err, ErrContent) {
			// What came before from another host or another day may be the wrong part, so one who starts anew gets one more chance.
			if err := errors.Join(err, sink.Reset()); before == 0 {
				return err
			}
			continue
		}
		if sink.Offset()-before >= enoughProgress {
			p.progress()
		}
		if !p.again(ctx, err) {
			return err
		}
	}
}

// enoughProgress is how many bytes an attempt must bring to count as one that brought something.
const enoughProgress = copyBuffer

// fetchOnce reads from the sink's offset to the end.
func (r *Repository) fetchOnce(ctx context.Context, e *endpoint, digest string, size int64, sink Sink) error {
	offset := sink.Offset()
	if offset == size {
		return nil
	}
	header := http.Header{"Accept": {"*/*"}}
	if offset > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := r.get(ctx, e, "/blobs/"+digest, header)
	var status *StatusError
	if errors.As(err, &status) && status.Status == http.StatusRequestedRangeNotSatisfiable {
		return fmt.Errorf("%w: %w", ErrContent, err)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	left := size - offset
	if resp.StatusCode == http.StatusPartialContent {
		if start, ok := rangeStart(resp.Header.Get("Content-Range")); !ok || start != offset {
			return fmt.Errorf("asked for bytes from %d, got %.64q: %w", offset, resp.Header.Get("Content-Range"), ErrContent)
		}
	} else if offset > 0 { // it does not know ranges
		if _, err := io.CopyN(io.Discard, resp.Body, offset); err != nil {
			return fmt.Errorf("read again what is there: %w", err)
		}
	}
	if n := resp.ContentLength; n >= 0 && n != left && !(resp.StatusCode == http.StatusOK && n == size) {
		return fmt.Errorf("%d bytes are announced instead of %d: %w", n, left, ErrContent)
	}
	return copyTo(sink, resp.Body, left)
}

// copyBuffer is the memory that a blob takes on its way in, in bytes.
const copyBuffer = 256 << 10

// copyTo reads exactly left bytes.
func copyTo(sink Sink, body io.Reader, left int64) error {
	buf := make([]byte, min(copyBuffer, left+1))
	for {
		n, err := body.Read(buf)
		if int64(n) > left {
			return fmt.Errorf("more bytes come than the blob has: %w", ErrContent)
		}
		if n > 0 {
			if _, err := sink.Write(buf[:n]); err != nil {
				return fmt.Errorf("%w: %w", errSink, err)
			}
			left -= int64(n)
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF) && left == 0:
			return nil
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		default:
			return err
		}
	}
}

// rangeStart reads the first number of "bytes FIRST-LAST/SIZE".
func rangeStart(value string) (int64, bool) {
	first, _, ok := strings.Cut(strings.TrimPrefix(value, "bytes "), "-")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(first, 10, 64)
	return n, err == nil
}

// certificateError says whether the server's certificate is the matter: it will be so the next time too.
func certificateError(err error) bool {
	var verify *tls.CertificateVerificationError
	return errors.As(err, &verify)
}
