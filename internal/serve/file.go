package serve

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"regexp"
	"strings"

	"github.com/go-kit/log"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"gopkg.in/yaml.v3"
)

// CheckFile returns what is wrong with a file of --web.config.file.
func CheckFile(name string) error {
	if err := toolkit.Validate(name); err != nil {
		return fileError(name, err)
	}
	return nil
}

// UsesTLS reports whether the file of --web.config.file makes the server use TLS.
func UsesTLS(name string) (bool, error) {
	if name == "" {
		return false, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return false, fileError(name, err)
	}
	var config struct {
		TLS toolkit.TLSConfig `yaml:"tls_server_config"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		return false, fileError(name, err)
	}
	return config.TLS.IsEnabled(), nil
}

// fileError returns exporter-toolkit's error about the file of --web.config.file without what it quotes from there: a
// password or a key may stand in the wrong place.
func fileError(name string, err error) error {
	const remedy = "correct it as https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md shows it"
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("--web.config.file=%s: %w", name, err)
	}
	return fmt.Errorf("--web.config.file=%s: %s: %s", name, withoutQuotes(err.Error()), remedy)
}

// quotes are the texts of exporter-toolkit and its YAML library that quote the file.
var quotes = []struct {
	says *regexp.Regexp
	text string
}{
	{regexp.MustCompile("(?s)cannot (unmarshal|decode) (\\S+) `.*?` (into|as a) "), "cannot $1 $2 $3 "},
	{regexp.MustCompile(`(?s)field .*? (not found|already set) in type `), "a key is $1 in type "},
	{regexp.MustCompile(`(?s)key .*? already set in map`), "a key is already set in map"},
	{regexp.MustCompile(`(?s)invalid map key: .*`), "invalid map key"},
	{regexp.MustCompile(`(?s)unknown anchor '.*?' referenced`), "unknown anchor referenced"},
	{regexp.MustCompile(`(?s)anchor '.*?' value contains itself`), "anchor contains itself"},
	{regexp.MustCompile(`(?s)HTTP header ".*?" can not`), "HTTP header can not"},
	{regexp.MustCompile(`(?s), but got: .*`), ""},
	{regexp.MustCompile(`(?s)unknown (cipher|curve|TLS version): .*`), "unknown $1"},
	{regexp.MustCompile(`(?s)invalid ClientAuth: .*`), "invalid client_auth_type"},
	{regexp.MustCompile(`(?s)crypto/bcrypt: .*`), "a password of basic_auth_users is not a bcrypt hash"},
}

// withoutQuotes returns a text of exporter-toolkit in one line and without what it quotes from its file.
func withoutQuotes(text string) string {
	for _, q := range quotes {
		text = q.says.ReplaceAllString(text, q.text)
	}
	return strings.Join(strings.Fields(text), " ")
}

// withoutQuotedValues returns a logger for exporter-toolkit, which reads the file again for each request and connection.
func withoutQuotedValues(next log.Logger) log.Logger {
	return log.LoggerFunc(func(keyvals ...any) error {
		clean := make([]any, len(keyvals))
		for i, v := range keyvals {
			if text, ok := v.(string); ok && i%2 == 1 {
				v = withoutQuotes(text)
			}
			clean[i] = v
		}
		return next.Log(clean...)
	})
}

// LocalAddress is where the server is reached from this machine, as far as the flags show it.
func LocalAddress(flags *toolkit.FlagConfig) string {
	host, port, err := net.SplitHostPort((*flags.WebListenAddresses)[0])
	if err != nil || host == "" {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
