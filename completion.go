package main

import "github.com/alecthomas/kingpin/v2"

func init() {
	// What --completion-script-zsh prints. Kingpin's own script does nothing the first time when it is loaded by zsh itself, from its fpath.
	kingpin.ZshCompletionTemplate = zshCompletion
}

const zshCompletion = `#compdef {{.App.Name}}

_{{.App.Name}}() {
    local -a matches=(${(f)"$(${words[1]} --completion-bash "${(@)words[2,$CURRENT]}" 2>/dev/null)"})
    compadd -a matches
    if [[ $compstate[nmatches] -eq 0 && $words[$CURRENT] != -* ]]; then
        _files
    fi
}

if [[ $funcstack[1] == _{{.App.Name}} ]]; then
    _{{.App.Name}} "$@"
else
    compdef _{{.App.Name}} {{.App.Name}}
fi
`
