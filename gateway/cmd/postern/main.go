// Command postern is the identity lifecycle gateway. See `postern --help`.
package main

import (
	"os"

	"postern/gateway/cli"
)

func main() {
	os.Exit(cli.Run(os.Args[1:], os.Stdout, os.Stderr))
}
