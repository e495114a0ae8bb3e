package web

import (
	"bytes"
	"context"
	_ "embed"
	"html/template"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	markdown "github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

//go:embed runbooks.html
var runbooksHTML string

// runbooks serves the runbooks of the alerts, so that the links of alerts and of the status page have a target.
type runbooks struct {
	people *people
	policy string
	page   []byte
}

func newRunbooks(source []byte, prefix string, people *people) (*runbooks, error) {
	transform := parser.WithASTTransformers(util.Prioritized(withoutFiles{}, 100))
	renderer := goldmark.New(goldmark.WithExtensions(extension.Table), goldmark.WithParserOptions(parser.WithAutoHeadingID(), transform))
	document := renderer.Parser().Parse(markdown.NewReader(source))
	var body, page bytes.Buffer
	if err := renderer.Renderer().Render(&body, source, document); err != nil {
		return nil, err
	}
	parsed, err := template.New("runbooks").Parse(runbooksHTML)
	if err != nil {
		return nil, err
	}
	err = parsed.Execute(&page, struct {
		Base  string
		CSS   template.CSS
		Index []section
		Body  template.HTML // rendered from the project's own text; goldmark omits raw HTML
	}{prefix, template.CSS(pageCSS), alerts(document, source), template.HTML(scrollable.Replace(body.String()))})
	return &runbooks{people, contentPolicy("style-src "+hashOf(pageCSS), "form-action 'none'"), page.Bytes()}, err
}

// scrollable lets the keyboard scroll what is wider than the window.
var scrollable = strings.NewReplacer("<pre>", `<pre tabindex="0">`,
	"<table>", `<div class="wide" role="region" aria-label="Table" tabindex="0"><table>`, "</table>", "</table></div>")

// section is a section of the runbooks.
type section struct{ Anchor, Title string }

// alerts returns the sections that are about an alert.
func alerts(document ast.Node, source []byte) (list []section) {
	for n := document.FirstChild(); n != nil; n = n.NextSibling() {
		heading, ok := n.(*ast.Heading)
		if !ok {
			continue
		}
		title := string(heading.Lines().Value(source))
		if id, ok := heading.AttributeString("id"); ok && strings.HasPrefix(title, "Glance") {
			list = append(list, section{string(id.([]byte)), title})
		}
	}
	return list
}

func (p *runbooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.people.serve(w, r, p.policy, func(_ context.Context, to io.Writer) error {
		_, err := to.Write(p.page)
		return err
	})
}

// withoutFiles replaces links to other files of the project, which the exporter does not serve, by their texts.
type withoutFiles struct{}

// Transform implements parser.ASTTransformer.
func (withoutFiles) Transform(document *ast.Document, _ markdown.Reader, _ parser.Context) {
	var links []*ast.Link
	_ = ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if link, ok := n.(*ast.Link); ok && entering {
			to := string(link.Destination)
			if !slices.ContainsFunc([]string{"#", "https://", "http://"}, func(start string) bool { return strings.HasPrefix(to, start) }) {
				links = append(links, link)
			}
		}
		return ast.WalkContinue, nil
	})
	for _, link := range links {
		parent := link.Parent()
		for child := link.FirstChild(); child != nil; child = link.FirstChild() {
			parent.InsertBefore(parent, link, child)
		}
		parent.RemoveChild(parent, link)
	}
}
