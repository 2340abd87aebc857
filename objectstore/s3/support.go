package s3

import (
	"fmt"
	"strings"
)

// Feature is how a service treats something that it may be asked for.
type Feature string

// The ways of a service.
const (
	Supported Feature = "supported"
	Ignored   Feature = "ignored" // it takes the request, and does not do what it asks for
	Refused   Feature = "refused" // it takes no such request
)

func (f Feature) usable() bool { return f == Supported }

// Support is what a service can do, as Probe found it. What it cannot is left out, and made up for as far as possible.
type Support struct {
	ConditionalPut      Feature // If-None-Match of a single request; else the key is looked up before
	ConditionalComplete Feature // If-None-Match of a multipart upload; else the key is looked up before
	Checksums           Feature // a SHA-256 beside the content, verified by the service; else the object is read back
	MultipartChecksums  Feature // the same for each part
	Multipart           Feature // else objects of any size go up in one request
	Metadata            Feature // kept beside the object; else what holds a key is compared by its content
	Ranges              Feature // of a download; else what comes before is read and thrown away
	OrderedList         Feature // else a list is sorted here
	// Warnings tell what an administrator should look at: rules of the bucket that delete objects by themselves.
	Warnings []string
}

func fullSupport() Support {
	return Support{
		ConditionalPut: Supported, ConditionalComplete: Supported, Checksums: Supported, MultipartChecksums: Supported,
		Multipart: Supported, Metadata: Supported, Ranges: Supported, OrderedList: Supported,
	}
}

// feature is one of Support's, with what is done where it is missing.
type feature struct {
	name, instead string
	is            Feature
}

// String tells what is missing and what it means, without the warnings.
func (s Support) String() string {
	features := []feature{
		{"conditional put", "keys are looked up first", s.ConditionalPut},
		{"multipart", "objects go up in one request", s.Multipart},
		{"checksums", "objects are read back", s.Checksums},
		{"metadata", "objects are compared by content", s.Metadata},
		{"ranges", "what comes before is read too", s.Ranges},
		{"ordered lists", "lists are sorted here", s.OrderedList},
	}
	if s.Multipart.usable() {
		features = append(features,
			feature{"conditional multipart", "keys are looked up first", s.ConditionalComplete},
			feature{"checksums of parts", "the content is signed", s.MultipartChecksums})
	}
	var missing []string
	for _, f := range features {
		if !f.is.usable() {
			missing = append(missing, fmt.Sprintf("%s %s: %s", f.name, f.is, f.instead))
		}
	}
	if len(missing) == 0 {
		return "everything is supported"
	}
	return strings.Join(missing, "; ")
}
