// Package certificates holds the kinds of certificates.k8s.io: requests for certificates, as they are made, approved or denied, and answered.
//
// It follows the laws of package core beside it: one function a kind, all that is particular to it in its files; request.go judges what is
// asked for, conditions.go what became of it.
//
// # What it leaves to others
//
// Who may approve, and who may sign for a signer, is asked by admission. Signing and tidying up are controllers'.
package certificates
