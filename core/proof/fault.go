package proof

import (
	"fmt"

	"postern/core"
)

// What can be wrong, beside the faults of audit.Verify, which have the same codes here.
const (
	FaultTruncated = "audit_truncated"      // the file ends before its manifest
	FaultTrailing  = "audit_trailing"       // something follows the manifest
	FaultAltered   = "audit_altered"        // the bytes are not those the manifest was signed for
	FaultManifest  = "audit_manifest_wrong" // the manifest tells of something else than the file holds
	FaultKey       = "audit_unknown_key"    // signed with a key that is not trusted
	FaultProof     = "audit_proof_wrong"    // the path does not lead to the signed root
	FaultDiffers   = "audit_differs"        // an earlier export holds another record at a sequence
)

// Fault is one thing that is wrong, and where.
type Fault struct {
	Line      int64   `json:"line,omitzero"` // from 1
	Workspace core.ID `json:"workspace,omitzero"`
	Sequence  int64   `json:"sequence,omitzero"` // of the record
	Code      string  `json:"code"`
	Message   string  `json:"message"`
}

// Error implements error.
func (f Fault) Error() string {
	if f.Line == 0 {
		return f.Message
	}
	return fmt.Sprintf("line %d: %s", f.Line, f.Message)
}

func wrong(code string, sequence int64, format string, arguments ...any) *Fault {
	return &Fault{Code: code, Sequence: sequence, Message: fmt.Sprintf(format, arguments...)}
}
