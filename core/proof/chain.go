package proof

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"postern/core"
	"postern/core/audit"
)

// Link is a record as it is found in a file.
type Link struct {
	Workspace core.ID
	Type      core.EventType
	Sequence  int64
	Canonical []byte // nil if the copy had no room for the event; its hash then stands for it
	Previous  []byte
	Hash      []byte
}

// remembered is how many of the last hashes are kept to tell a repeated event from another one in its place.
const remembered = 4096

// Stretch is what was seen of one workspace's log.
type Stretch struct {
	Workspace   core.ID `json:"workspace"`
	First       int64   `json:"first"` // sequence of the first record; 0 if there is none
	Last        int64   `json:"last"`
	Records     int64   `json:"records"`
	Checkpoints int64   `json:"checkpoints"` // whose signature is good
	Signed      int64   `json:"signed"`      // the last sequence that a checkpoint covers; 0 if none does
	Unsigned    int64   `json:"unsigned"`    // records behind it, not counting checkpoints
	Repeated    int64   `json:"repeated"`    // came again, unchanged
	Hollow      int64   `json:"hollow"`      // came without their event, which was too large for the receiver
	Head        string  `json:"head"`        // hash of the last record, hexadecimal
}

// chain follows the records of one workspace. Its memory does not grow.
type chain struct {
	Stretch
	keys    Keys // nil: signatures are not looked at
	repeats bool // a record may come again
	hash    []byte
	began   bool
	recent  [][]byte // by sequence modulo remembered
}

// anchor says where the chain begins: behind which sequence. Without it the first record says so.
func (c *chain) anchor(after int64) { c.Last, c.began = after, true }

// add takes the next record. It goes on behind a fault, so that what follows is looked at by itself.
func (c *chain) add(link Link) *Fault {
	again, fault := c.place(link)
	if again {
		return fault
	}
	if fault == nil {
		fault = c.content(link)
	}
	if c.First == 0 {
		c.First = link.Sequence
	}
	c.Records++
	c.Last, c.began = link.Sequence, true
	c.hash = append(c.hash[:0], link.Hash...)
	c.remember(link)
	if link.Canonical == nil {
		c.Hollow++
	}
	if link.Type != core.CheckpointSigned {
		c.Unsigned++
		return fault
	}
	if told := c.told(link); fault == nil {
		fault = told
	}
	return fault
}

// place looks at the sequence and at what comes before. again: the record is not a new one.
func (c *chain) place(link Link) (again bool, fault *Fault) {
	sequence := link.Sequence
	switch {
	case sequence < 1:
		return true, wrong(audit.FaultReordered, sequence, "a record has the sequence %d", sequence)
	case !c.began:
	case sequence <= c.Last:
		return true, c.once(link)
	case sequence == c.Last+2:
		return false, wrong(audit.FaultGap, sequence, "record %d is missing", c.Last+1)
	case sequence > c.Last+1:
		return false, wrong(audit.FaultGap, sequence, "records %d to %d are missing", c.Last+1, sequence-1)
	case c.hash != nil && !bytes.Equal(link.Previous, c.hash):
		return false, wrong(audit.FaultBroken, sequence, "record %d does not continue the record before it", sequence)
	}
	if sequence == 1 && !bytes.Equal(link.Previous, audit.Genesis()) {
		return false, wrong(audit.FaultBroken, sequence, "record 1 continues another one")
	}
	return false, nil
}

// once looks at a record whose place is taken.
func (c *chain) once(link Link) *Fault {
	sequence := link.Sequence
	switch {
	case !c.repeats && sequence == c.Last:
		return wrong(audit.FaultDuplicate, sequence, "record %d comes twice", sequence)
	case !c.repeats || sequence <= c.Last-remembered || c.recent[sequence%remembered] == nil:
		return wrong(audit.FaultReordered, sequence, "record %d comes after record %d", sequence, c.Last)
	case !bytes.Equal(c.recent[sequence%remembered], link.Hash):
		return wrong(audit.FaultRewritten, sequence, "record %d comes again and is another one", sequence)
	}
	c.Repeated++
	return c.content(link)
}

func (c *chain) remember(link Link) {
	if !c.repeats {
		return
	}
	if c.recent == nil {
		c.recent = make([][]byte, remembered)
	}
	slot := &c.recent[link.Sequence%remembered]
	*slot = append((*slot)[:0], link.Hash...)
}

// content looks at a record by itself.
func (c *chain) content(link Link) *Fault {
	switch {
	case link.Canonical == nil:
		return nil
	case !bytes.Equal(audit.Hash(link.Previous, link.Sequence, link.Canonical), link.Hash):
		return wrong(audit.FaultEdited, link.Sequence, "record %d does not have the hash of its content", link.Sequence)
	case !jsontext.Value(link.Canonical).IsValid():
		return wrong(audit.FaultUnreadable, link.Sequence, "the event of record %d is not JSON", link.Sequence)
	}
	return nil
}

// told looks at the checkpoint that a record tells of: it covers the record before.
func (c *chain) told(link Link) *Fault {
	event, err := eventOf(link.Canonical)
	if err != nil {
		return wrong(audit.FaultUnreadable, link.Sequence, "the checkpoint in record %d cannot be read", link.Sequence)
	}
	checkpoint, err := audit.CheckpointOf(event)
	if err != nil {
		return wrong(audit.FaultUnreadable, link.Sequence, "the checkpoint in record %d cannot be read: %s", link.Sequence, core.AsError(err).Message)
	}
	if checkpoint.Sequence != link.Sequence-1 || !bytes.Equal(checkpoint.Hash, link.Previous) {
		return wrong(audit.FaultRewritten, link.Sequence, "the checkpoint in record %d saw another record before it", link.Sequence)
	}
	return c.signed(checkpoint)
}

// signed takes a checkpoint that covers all that came, if its signature is good.
func (c *chain) signed(checkpoint audit.Checkpoint) *Fault {
	of := fmt.Sprintf("the checkpoint at %d", checkpoint.Sequence)
	if c.keys == nil {
		return nil
	}
	if fault := c.keys.verify(checkpoint.KeyID, checkpoint.Payload(), checkpoint.Signature, checkpoint.Sequence, of); fault != nil {
		return fault
	}
	if c.Signed != checkpoint.Sequence || c.Checkpoints == 0 {
		c.Checkpoints++ // it may be told of twice: as a line, and by an event
	}
	c.Signed, c.Unsigned = checkpoint.Sequence, 0
	return nil
}
