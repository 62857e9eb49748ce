package encryption

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protowire"
	kmsapi "k8s.io/kms/apis/v2"
	"k8s.io/utils/clock"
)

// Upstream's numbers of KMS v2.
const (
	infoSize     = 32
	seedSize     = 32
	keyIDMax     = 1 << 10 // bytes
	seedMax      = 1 << 10 // of the sealed seed
	notesMax     = 32 << 10
	statusEvery  = time.Minute     // the plug-in is asked for its key
	seedLasts    = 3 * time.Minute // without an answer to that
	seedsAtMost  = 1000            // of other keys that are remembered
	seedByHKDF   = 1               // EncryptedDEKSourceType HKDF_SHA256_XNONCE_AES_GCM_SEED
	healthyWords = "ok"
)

// plugin is a KMS v2 plug-in at a unix socket, as a provider. Its seed is made and sealed by the plug-in once for each of the plug-in's keys.
type plugin struct {
	name    string
	conn    *grpc.ClientConn
	client  kmsapi.KeyManagementServiceClient
	timeout time.Duration
	clock   clock.WithTicker

	asking sync.Mutex                   // held over calls for a new seed, so that many writers make one
	mu     sync.Mutex                   // below asking; never held over a call
	seed   seed                         // guarded by mu: what seals now
	known  map[[sha256.Size]byte][]byte // guarded by mu: seeds that were opened, by their sealed form
	failed error                        // guarded by mu: of the last Status
}

// seed makes a key for each value.
type seed struct {
	plain, sealed []byte
	keyID         string
	notes         map[string][]byte
	until         time.Time
}

func newPlugin(name, endpoint string, timeout time.Duration, ticking clock.WithTicker) (*plugin, error) {
	conn, err := grpc.NewClient("unix:"+strings.TrimPrefix(endpoint, "unix://"), grpc.WithTransportCredentials(insecure.NewCredentials())) // a socket of this machine
	if err != nil {
		return nil, fmt.Errorf("kms provider %s: %w", name, err)
	}
	return &plugin{
		name: name, conn: conn, client: kmsapi.NewKeyManagementServiceClient(conn), timeout: timeout, clock: ticking, known: map[[sha256.Size]byte][]byte{},
	}, nil
}

// refresh asks the plug-in how it is, and for another sealed seed when its key is another.
func (p *plugin) refresh() error {
	p.asking.Lock()
	defer p.asking.Unlock()
	err := p.ask()
	p.mu.Lock()
	p.failed = err
	p.mu.Unlock()
	return err
}

// ask is refresh, with asking held.
func (p *plugin) ask() error {
	ctx, cancel := context.WithTimeout(context.Background(), p.timeout)
	defer cancel()
	status, err := p.client.Status(ctx, &kmsapi.StatusRequest{})
	switch {
	case err != nil:
		return fmt.Errorf("kms provider %s: status: %w", p.name, err)
	case status.Version != "v2" && status.Version != "v2beta1":
		return fmt.Errorf("kms provider %s: unsupported API version %q, only v2 and v2beta1 are", p.name, status.Version)
	case status.Healthz != healthyWords:
		return fmt.Errorf("kms provider %s: is not well: %q", p.name, status.Healthz)
	}
	if err := checkKeyID(status.KeyId); err != nil {
		return fmt.Errorf("kms provider %s: status: %w", p.name, err)
	}
	until := p.clock.Now().Add(seedLasts)
	p.mu.Lock()
	same := p.seed.plain != nil && p.seed.keyID == status.KeyId
	if same {
		p.seed.until = until
	}
	p.mu.Unlock()
	if same {
		return nil
	}
	return p.makeSeed(ctx, status.KeyId, until)
}

func checkKeyID(id string) error {
	if id == "" || len(id) > keyIDMax {
		return fmt.Errorf("keyID of %d bytes, want 1 to %d", len(id), keyIDMax)
	}
	return nil
}

func (p *plugin) makeSeed(ctx context.Context, keyID string, until time.Time) error {
	s := seed{plain: make([]byte, seedSize), until: until}
	random(s.plain)
	resp, err := p.client.Encrypt(ctx, &kmsapi.EncryptRequest{Plaintext: s.plain, Uid: uuid.NewString()})
	if err != nil {
		return fmt.Errorf("kms provider %s: encrypt: %w", p.name, err)
	}
	s.sealed, s.keyID, s.notes = resp.Ciphertext, resp.KeyId, resp.Annotations
	size := 0
	for key, value := range s.notes {
		if !strings.Contains(key, ".") {
			return fmt.Errorf("kms provider %s: encrypt: annotation %q is no domain name", p.name, key)
		}
		size += len(key) + len(value)
	}
	switch {
	case len(s.sealed) == 0 || len(s.sealed) > seedMax:
		err = fmt.Errorf("a sealed key of %d bytes, want 1 to %d", len(s.sealed), seedMax)
	case bytes.Equal(s.sealed, s.plain):
		err = errors.New("the plug-in has sealed nothing")
	case size > notesMax:
		err = fmt.Errorf("annotations of %d bytes, want at most %d", size, notesMax)
	case s.keyID != keyID:
		err = fmt.Errorf("keyID %q, and %q by status", s.keyID, keyID)
	default:
		err = checkKeyID(s.keyID)
	}
	if err != nil {
		return fmt.Errorf("kms provider %s: encrypt: %w", p.name, err)
	}
	p.mu.Lock()
	p.seed = s
	p.rememberLocked(s.digest(), s.plain)
	p.mu.Unlock()
	return nil
}

// digest names a sealed seed.
func (s *seed) digest() [sha256.Size]byte {
	e := encryptedObject{source: s.sealed, keyID: s.keyID, notes: s.notes}
	return sha256.Sum256(e.encode())
}

func (p *plugin) rememberLocked(digest [sha256.Size]byte, plain []byte) {
	for old := range p.known { // any: those in use come back by themselves
		if len(p.known) < seedsAtMost {
			break
		}
		delete(p.known, old)
	}
	p.known[digest] = plain
}

// current is the seed that seals.
func (p *plugin) current() (seed, error) {
	now := p.clock.Now()
	p.mu.Lock()
	s := p.seed
	p.mu.Unlock()
	if s.plain != nil && now.Before(s.until) {
		return s, nil
	}
	if err := p.refresh(); err != nil {
		return seed{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seed, nil
}

// seal implements provider.
func (p *plugin) seal(key string, plain []byte) ([]byte, error) {
	s, err := p.current()
	if err != nil {
		return nil, err
	}
	info := make([]byte, infoSize)
	random(info)
	by, err := derived(s.plain, info)
	if err != nil {
		return nil, err
	}
	e := encryptedObject{data: by.append(info, key, plain), keyID: s.keyID, source: s.sealed, notes: s.notes, kind: seedByHKDF}
	return e.encode(), nil
}

func derived(seed, info []byte) (*gcm, error) {
	secret, err := hkdf.Expand(sha256.New, seed, string(info), 32)
	if err != nil {
		return nil, err
	}
	return newGCM(secret)
}

// open implements provider.
func (p *plugin) open(key string, sealed []byte) ([]byte, bool, error) {
	e, err := decodeObject(sealed)
	if err != nil {
		return nil, false, fmt.Errorf("kms provider %s: %w", p.name, err)
	}
	secret, err := p.unseal(e)
	if err != nil {
		return nil, false, err
	}
	data := e.data
	var by *gcm
	if e.kind == seedByHKDF {
		if len(data) < infoSize {
			return nil, false, errShort
		}
		by, err = derived(secret, data[:infoSize])
		data = data[infoSize:]
	} else {
		by, err = newGCM(secret)
	}
	if err != nil {
		return nil, false, fmt.Errorf("kms provider %s: %w", p.name, err)
	}
	plain, _, err := by.open(key, data)
	p.mu.Lock()
	stale := p.seed.keyID != "" && p.seed.keyID != e.keyID || e.kind != seedByHKDF
	p.mu.Unlock()
	return plain, stale, err
}

// unseal returns the seed of an object, by the plug-in when it is not known.
func (p *plugin) unseal(e *encryptedObject) ([]byte, error) {
	s := seed{sealed: e.source, keyID: e.keyID, notes: e.notes}
	digest := s.digest()
	p.mu.Lock()
	plain := p.known[digest]
	p.mu.Unlock()
	if plain != nil {
		return plain, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.timeout)
	defer cancel()
	resp, err := p.client.Decrypt(ctx, &kmsapi.DecryptRequest{Ciphertext: e.source, Uid: uuid.NewString(), KeyId: e.keyID, Annotations: e.notes})
	switch {
	case err != nil:
		return nil, fmt.Errorf("kms provider %s: decrypt: %w", p.name, err)
	case len(resp.Plaintext) == 0:
		return nil, fmt.Errorf("kms provider %s: decrypt: no key", p.name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rememberLocked(digest, resp.Plaintext)
	return resp.Plaintext, nil
}

// health is why the plug-in is not well; nil: it is, or has not been asked.
func (p *plugin) health() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

func (p *plugin) close() error { return p.conn.Close() }

// encryptedObject is upstream's message EncryptedObject (k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2/v2).
type encryptedObject struct {
	data   []byte
	keyID  string
	source []byte
	notes  map[string][]byte
	kind   uint64
}

func (e *encryptedObject) encode() []byte {
	var out []byte
	part := func(n protowire.Number, b []byte) {
		if len(b) > 0 {
			out = protowire.AppendBytes(protowire.AppendTag(out, n, protowire.BytesType), b)
		}
	}
	part(1, e.data)
	part(2, []byte(e.keyID))
	part(3, e.source)
	for _, key := range sortedKeys(e.notes) {
		entry := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte(key))
		entry = protowire.AppendBytes(protowire.AppendTag(entry, 2, protowire.BytesType), e.notes[key])
		part(4, entry)
	}
	if e.kind != 0 {
		out = protowire.AppendVarint(protowire.AppendTag(out, 5, protowire.VarintType), e.kind)
	}
	return out
}
