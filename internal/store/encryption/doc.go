// Package encryption is encryption at rest by upstream's EncryptionConfiguration (apiserver.config.k8s.io/v1): a store.Codec whose sealed values
// kube-apiserver reads, and that reads kube-apiserver's.
//
// # Vocabulary
//
// A provider seals values with one key. A chain is the providers of a resource, in the file's order: the first seals, all open. A value that another
// provider than the first has sealed, or a key that is no longer used, is stale.
//
// # What is stored
//
//	identity   value                                            as it is; never begins with k8s:enc:
//	aescbc     k8s:enc:aescbc:v1:KEY:    iv 16, CBC of value and PKCS #7 padding (not bound to the object)
//	aesgcm     k8s:enc:aesgcm:v1:KEY:    nonce 12, GCM of value, bound to the object's key in the store
//	secretbox  k8s:enc:secretbox:v1:KEY: nonce 24, XSalsa20 and Poly1305 (not bound to the object)
//	kms v2     k8s:enc:kms:v2:NAME:      EncryptedObject in protobuf: GCM by a key of HKDF(seed, info 32), bound as aesgcm, and the seed as the
//	                                     plug-in has sealed it
//
// # Laws
//
//   - A value that no provider of its chain opens is an error that names it; nothing is ever guessed, and no value is returned that was tampered with
//     where the format lets that be known (all but aescbc).
//   - A resource that the file does not name is stored as it is, and refused when it was sealed.
//   - A call of a KMS plug-in ends after its timeout. Between calls the seed is kept in memory: reads and writes do not wait for the plug-in.
//   - Keys and plain values are in no error and no log.
//
// # What it leaves to others
//
// When a stale value is written anew: api, which asks Stale before it leaves out a write that changes nothing. Where keys of the store begin: the caller,
// who knows the kinds.
package encryption
