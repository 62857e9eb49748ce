package etcd

import (
	"context"
	crand "crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	retry "google.golang.org/grpc/backoff"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/store"
)

// Options say where etcd is and how the log is kept there.
type Options struct {
	Endpoints []string    // client URLs of the members; at least one
	TLS       *tls.Config // nil: the endpoints are spoken to in the clear
	// Dial connects to the members; nil: directly.
	Dial  func(ctx context.Context, network, address string) (net.Conn, error)
	Codec store.Codec // seals values; nil: they are stored as they are
	Clock clock.WithTicker
	Log   *slog.Logger // nil: discarded
	// Base is added to every revision from now on. It is written by a restore, to an etcd without objects; 0: the base that stands there is kept.
	Base store.Revision
	// History is how long superseded versions are kept; 0: 10 minutes; negative: something else compacts.
	History time.Duration
	// QuotaBytes is the members' --quota-backend-bytes; 0: they are asked. At half of it history is cut earlier.
	QuotaBytes int64
	// DialTimeout is how long Open waits for an answer, and Close for writes that are in flight; 0: 10 s.
	DialTimeout time.Duration
}

// Errors of opening.
var (
	// ErrUnreachable: no endpoint answered in time.
	ErrUnreachable = errors.New("etcd does not answer")
	// ErrNotEmpty: a base is wanted for an etcd that has objects, or a base, already.
	ErrNotEmpty = errors.New("etcd holds a log already")
	// ErrVersion: etcd is older than what the log rests on.
	ErrVersion = errors.New("etcd is too old")
)

const (
	defaultHistory     = 10 * time.Minute
	defaultDialTimeout = 10 * time.Second
	// A member that is cut off without a word is noticed after both together. gRPC takes no shorter time.
	keepAliveTime    = 10 * time.Second
	keepAliveTimeout = 3 * time.Second
	// reconnectMost is the longest time between two attempts to reach a member, and what one may take.
	reconnectMost = 3 * time.Second
)

// Open connects to the log in etcd, and starts what keeps its history short; Close ends that.
func Open(opts Options) (*Log, error) {
	if len(opts.Endpoints) == 0 {
		return nil, errors.New("open log in etcd: no endpoints are given")
	}
	if opts.Clock == nil {
		opts.Clock = clock.RealClock{}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.History == 0 {
		opts.History = defaultHistory
	}
	if opts.DialTimeout == 0 {
		opts.DialTimeout = defaultDialTimeout
	}
	where := "open log in etcd at " + strings.Join(opts.Endpoints, ", ")
	client, err := clientv3.New(clientv3.Config{
		Endpoints: opts.Endpoints, TLS: opts.TLS, DialTimeout: opts.DialTimeout,
		DialKeepAliveTime: keepAliveTime, DialKeepAliveTimeout: keepAliveTimeout,
		// What its lines tell, this package tells in the program's own log.
		Logger: zap.NewNop(),
		// A member that is back is used again soon; by default that takes up to two minutes.
		DialOptions: opts.connecting(),
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	l := newLog(client, opts)
	if err := l.begin(opts); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", where, err), client.Close())
	}
	if opts.History > 0 {
		l.spawn(func() { l.keepShort(opts.History, opts.QuotaBytes) })
	}
	return l, nil
}

func newLog(client *clientv3.Client, opts Options) *Log {
	l := &Log{client: client, clock: opts.Clock, log: opts.Log, codec: opts.Codec, patience: opts.DialTimeout}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	l.writing, l.stopWriting = context.WithCancelCause(context.Background())
	var random [8]byte
	crand.Read(random[:])
	l.writer = binary.BigEndian.Uint64(random[:])
	l.heads = turns[int64]{spawn: l.spawn, work: l.readHead}
	l.outcomes = turns[outcome]{spawn: l.spawn, work: l.decide}
	l.follow.wanted = make(chan struct{}, 1)
	l.foreign.at = map[string]position{}
	return l
}

// begin asks etcd who it is, and reads or writes the base.
func (l *Log) begin(opts Options) error {
	ctx, cancel := context.WithTimeout(context.Background(), opts.DialTimeout)
	defer cancel()
	resp, err := l.get(ctx, baseKey)
	if err != nil {
		if ctx.Err() != nil || !answered(err) {
			return fmt.Errorf("%w within %s; is it running, and are its address and certificates right? %w", ErrUnreachable, opts.DialTimeout, err)
		}
		return err
	}
	l.cluster = resp.Header.ClusterId
	if err := l.checkVersion(ctx, opts.Endpoints); err != nil {
		return err
	}
	if opts.Base != 0 {
		return l.setBase(ctx, opts.Base)
	}
	if len(resp.Kvs) == 0 {
		return nil
	}
	base, err := strconv.ParseUint(string(resp.Kvs[0].Value), 10, 63)
	if err != nil {
		return fmt.Errorf("%s holds %q, which is no revision", baseKey, resp.Kvs[0].Value)
	}
	l.base, l.baseMod = store.Revision(base), resp.Kvs[0].ModRevision
	return nil
}

func (l *Log) setBase(ctx context.Context, base store.Revision) error {
	if base >= 1<<62 {
		return fmt.Errorf("base %d is not below 2^62", base)
	}
	// A comparison with a range holds when it holds for each of its keys: no key at all has a create revision above 0.
	conditions := []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(baseKey), "=", 0)}
	for _, r := range objects("", "") {
		conditions = append(conditions, clientv3.Compare(clientv3.CreateRevision(r.from).WithRange(r.to), "=", 0))
	}
	resp, err := l.client.Txn(ctx).If(conditions...).Then(clientv3.OpPut(baseKey, strconv.FormatUint(uint64(base), 10))).Commit()
	switch {
	case err != nil:
		return fmt.Errorf("write %s: %w", baseKey, translate(err))
	case !resp.Succeeded:
		return fmt.Errorf("%w: there are keys below %s, so its revisions cannot be set to begin at %d; restore to an empty etcd", ErrNotEmpty, rootPrefix, base)
	}
	l.base, l.baseMod = base, resp.Header.Revision
	return nil
}

// checkVersion refuses members whose progress notifications may overtake events: fixed in 3.4.25 and 3.5.8, and for requested ones in
// 3.4.31 and 3.5.13. The first endpoint that answers speaks for all.
func (l *Log) checkVersion(ctx context.Context, endpoints []string) error {
	var last error
	for _, e := range endpoints {
		one, cancel := context.WithTimeout(ctx, l.patience/2)
		status, err := l.client.Status(one, e)
		cancel()
		if err != nil {
			last = err
			continue
		}
		if tooOld(status.Version) {
			return fmt.Errorf("%w: %s runs version %s, the log needs 3.5.13 or newer, or 3.4.31", ErrVersion, e, status.Version)
		}
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, last)
}

func tooOld(version string) bool {
	var major, minor, patch int
	if n, _ := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); n < 3 || major != 3 {
		return major < 3
	}
	switch minor {
	case 4:
		return patch < 31
	case 5:
		return patch < 13
	}
	return minor < 4
}

// connecting is how gRPC connects to members.
func (o Options) connecting() []grpc.DialOption {
	list := []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
		Backoff: retry.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: reconnectMost}, MinConnectTimeout: reconnectMost,
	})}
	if o.Dial != nil {
		list = append(list, grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			if at, err := url.Parse(address); err == nil && at.Host != "" {
				address = at.Host
			}
			return o.Dial(ctx, "tcp", address)
		}))
	}
	return list
}
