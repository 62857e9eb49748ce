// Package admission says what may pass: plug-ins look at every wish to change something, complete it, or refuse it.
//
// # Vocabulary
//
// A plug-in goes by upstream's name, by which it is switched on and off. The attributes are all that it is told of one wish. It may admit (change the object
// before it is prepared and validated), validate (look at what would be stored), and charge (write in the same transaction what the object takes of a limit).
// A pure plug-in is one of kinds.Kind.Admission: it sees objects of one kind, and does no I/O.
//
// # The path of a wish
//
//	authorized, decoded, defaulted
//	  ──► Admit of every plug-in, in Order          (all that changes the object)
//	  ──► the kind's claim, preparation, validation
//	  ──► Validate of every plug-in, in Order       (nothing changes any more)
//	  ──► Charge of every plug-in, in Order         (quota)
//	  ──► one transaction: the object and what was charged
//
// A deletion passes the same way, with Old and no Object; a connection (exec, proxy) with its options as Object and nothing that is stored. A wish
// passes again from the beginning when another writer of the object was quicker; when only what was charged has changed, Charge alone is asked again.
//
// # Laws
//
//   - The chain is in upstream's order, whatever the order in which plug-ins are given. NamespaceLifecycle stands before it, in package api, which makes the
//     namespace a condition of the transaction.
//   - A pure plug-in and another of the same name take part in the same place, the pure one first.
//   - Admit of all plug-ins is asked once more when one of those that others configure has changed the object; never a third time.
//   - A refusal is an API status error and ends the wish at once. Nothing has been changed then.
//   - A plug-in changes Object in Admit alone, and Old and what See returns never.
//   - Plug-ins are called by many requests at once, and keep nothing of the Attributes.
//
// # What it leaves to others
//
// Each plug-in that is not pure has a package below this one; cluster makes them and hands them to api, which runs the chain. Three packages do I/O: webhook
// gives MutatingAdmissionWebhook and ValidatingAdmissionWebhook, policy gives MutatingAdmissionPolicy and ValidatingAdmissionPolicy, imagepolicy gives
// ImagePolicyWebhook. Order has their places; each is one Plugin value like any other, and takes the context of the request. Their settings: package
// configuration.
package admission
