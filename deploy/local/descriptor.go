package local

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"postern/core"
)

// Descriptor tells scripts where everything is: dev.json in the data folder, written when the stack
// is ready and removed when it stops. It holds the secrets of a development stack and is readable by
// its owner alone.
type Descriptor struct {
	Gateway  string                 `json:"gateway"`   // base URL of Postern
	APIToken string                 `json:"api_token"` // service account token for /api/v1
	IdP      string                 `json:"idp"`       // development IdP, people and buttons
	App      string                 `json:"app"`       // sample application
	HEC      string                 `json:"hec"`       // event receiver: GET /events lists what arrived
	Kafka    string                 `json:"kafka"`     // host:port
	Database string                 `json:"database"`  // PostgreSQL URL
	Mailbox  string                 `json:"mailbox"`   // host:port where mails for accounts are received (SMTP)
	SCIM     map[string]SCIMAddress `json:"scim"`      // by connection: okta, entra
	Logout   map[string]string      `json:"logout"`    // Universal Logout endpoint, by connection
	SignIn   map[string]string      `json:"sign_in"`   // where a browser begins to sign in, by connection
	Owner    string                 `json:"owner"`     // user name of the workspace's owner at the IdP
}

// SCIMAddress is what an IdP is given to provision a connection.
type SCIMAddress struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

// descriptorName is the file's name in the data folder.
const descriptorName = "dev.json"

// Announce writes the descriptor.
func (f *Folder) Announce(descriptor Descriptor) error {
	text, err := json.MarshalIndent(descriptor, "", "  ")
	if err != nil {
		return err
	}
	return f.Write(descriptorName, append(text, '\n'))
}

// Withdraw removes the descriptor: the stack is not, or no longer, ready.
func (f *Folder) Withdraw() error {
	err := os.Remove(f.In(descriptorName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// ReadDescriptor reads the descriptor of the stack that runs in a folder.
func ReadDescriptor(folder string) (Descriptor, error) {
	var descriptor Descriptor
	text, err := os.ReadFile(filepath.Join(folder, descriptorName))
	if err != nil {
		return descriptor, core.NotFound("running stack in " + folder + "; start one with 'postern dev' or 'make run'").Because(err)
	}
	return descriptor, json.Unmarshal(text, &descriptor)
}
