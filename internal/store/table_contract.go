package store

// This file is the contract between the store and its readers, to be folded into the files that implement it:
//
//	func Open(ctx context.Context, log Log, cfg Config) (*Store, error)         // loads the table; starts nothing
//	func (s *Store) Run(ctx context.Context) error                             // applies the log to the table until ctx ends
//	func (s *Store) Commit(ctx context.Context, txn Txn) ([]Revision, error)   // Append, then waits until visible in the table
//	func (s *Store) Head(key string) (Item, bool)                              // newest state, unsynced included
//	func (s *Store) Wait(ctx context.Context, rev Revision) error              // until the table is at rev or later
//	func (s *Store) Snapshot() *Snapshot                                       // lock-free
//	func (s *Store) Watch(opts WatchOptions) (*Cursor, error)                  // ErrExpired, ErrFuture
//
//	type Config struct {
//		Collections []Collection // one per kind
//		FormBytes   int64        // bound of the cache of forms; 0: 32 MiB
//		RingBytes   int64        // bound of all rings together; 0: 64 MiB
//		Clock       clock.PassiveClock
//	}
//	type Collection struct {
//		Prefix  string   // "/registry/pods/"
//		Indexes []Index
//		Decode  func(item *Item) (object any, size int, err error) // fills the Decoded form
//	}
//	type Index struct { Name string; Values func(item *Item) []string } // may use item.Object
//
//	func (s *Snapshot) Revision() Revision
//	func (s *Snapshot) Get(key string) *Item                              // nil: absent
//	func (s *Snapshot) Ascend(prefix, from string) iter.Seq[*Item]        // key order; from: first key wanted, "" = all
//	func (s *Snapshot) Lookup(prefix, index, value string) iter.Seq[*Item] // key order
//	func (s *Snapshot) Count(prefix string) int
//
//	type Item struct { Key string; Value []byte; Revision Revision; /* cache slots */ }
//	func (i *Item) Object() (any, error)                                  // decoded once, shared, immutable, from the bounded cache
//	func (i *Item) Form(id FormID, make func(*Item) ([]byte, error)) ([]byte, error) // encodings, same cache
//
//	type WatchOptions struct { Prefix string; After Revision; Key string /* one key */; Index, Value string /* one index value */ }
//	func (c *Cursor) Next(ctx context.Context) (Event, error)             // blocks; ErrExpired when the ring has passed it
//	func (c *Cursor) TryNext() (Event, bool, error)
//	func (c *Cursor) Revision() Revision                                  // every event up to it has been returned or is not for this cursor: bookmarks
//	type Event struct { Item, Previous *Item; Revision Revision }         // Item nil: deleted; Previous nil: created
