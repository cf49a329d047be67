package stack_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chatcache/test/loopback"
	"chatcache/test/stack"
)

// authority signs certificates and puts them into a directory.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.sign("ca", true)
	return a
}

// sign makes NAME.pem and NAME-key.pem, signed by the authority, or by itself if it isn't one yet.
func (a *authority) sign(name string, isCA bool) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: isCA, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + "-key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(a.dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// client shows the certificate of that name, or none.
func (a *authority) client(name string) *http.Client {
	a.t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	c := &tls.Config{RootCAs: pool, ServerName: "localhost"}
	if name != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+"-key.pem"))
		if err != nil {
			a.t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: c}}
}

// The example lets in whoever has a certificate, nobody else; the bridge is shown the token and the
// certificate, whatever the client says of both.
func TestAdministratorsByCertificate(t *testing.T) {
	stack.RequireT(t)
	root := repositoryRoot(t)
	envoy, err := stack.EnvoyPath(root)
	if err != nil {
		t.Fatal(err)
	}
	bridge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header["Authorization"], r.Header["X-Forwarded-Client-Cert"])
	}))
	defer bridge.Close()
	port, err := loopback.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthority(t)
	a.sign("server", false)
	a.sign("alice", false)
	shipped := string(readFile(t, filepath.Join(root, "envoy", "admin.yaml")))
	file := filepath.Join(a.dir, "admin.yaml")
	text := strings.NewReplacer("/etc/chatcache", a.dir, "port_value: 8471", fmt.Sprint("port_value: ", port),
		"port_value: 8470", "port_value: "+bridge.URL[strings.LastIndexByte(bridge.URL, ':')+1:]).Replace(shipped)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ask := func(c *http.Client) (string, error) {
		r, err := http.NewRequest("GET", fmt.Sprintf("https://127.0.0.1:%d/v1/status", port), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer forged")
		r.Header.Set("X-Forwarded-Client-Cert", `Subject="CN=forged"`)
		response, err := c.Do(r)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return string(body), err
	}
	alice := a.client("alice")
	var got string
	proxy := stack.NewProcess("envoy", filepath.Join(a.dir, "envoy.log"), func(int) *exec.Cmd {
		cmd := exec.Command(envoy, "-c", file, "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning")
		cmd.Env = append(os.Environ(), "CHATCACHE_ADMIN_TOKEN="+stack.AdminToken)
		return cmd
	}, func(context.Context) (err error) {
		got, err = ask(alice)
		return err
	})
	t.Cleanup(func() { proxy.Kill() })
	if err := proxy.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got, "[Bearer "+stack.AdminToken+"]") || !strings.Contains(got, `Subject="CN=alice"`) || strings.Contains(got, "forged") {
		t.Errorf("the bridge gets %s", got)
	}
	if got, err := ask(a.client("")); err == nil {
		t.Errorf("without a certificate: %s", got)
	}
	stranger := newAuthority(t)
	stranger.sign("mallory", false)
	c := stranger.client("mallory")
	c.Transport.(*http.Transport).TLSClientConfig.RootCAs = alice.Transport.(*http.Transport).TLSClientConfig.RootCAs
	if got, err := ask(c); err == nil {
		t.Errorf("with another CA's certificate: %s", got)
	}
	if err := proxy.Kill(); err != nil { // before its log is read
		t.Fatal(err)
	}
	if log := string(readFile(t, proxy.Log)); strings.Contains(log, "[error]") {
		t.Errorf("Envoy says\n%s", log)
	}
}
