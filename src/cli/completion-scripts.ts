/**
 * Completion scripts: at each Tab they ask the program for candidates ("tapedeck complete"), and pass
 * them to their shell. A word that ends with a colon continues, so no space follows it.
 */

/** This candidate stands for file names. */
export const FILES_WORD = ':files';

const BASH = `_tapedeck() {
  local line="\${COMP_LINE:0:COMP_POINT}" words=() current word about files="" prefix
  read -ra words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  current="\${words[\${#words[@]} - 1]}"
  COMPREPLY=()
  while IFS=$'\\t' read -r word about; do
    if [ "$word" = "${FILES_WORD}" ]; then files=yes; else COMPREPLY+=("$word"); fi
  done < <("\${words[0]}" complete -- "\${words[@]:1}" 2>/dev/null)
  if [ -n "$files" ]; then
    compopt -o filenames 2>/dev/null
    while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "\${current##*=}")
    return
  fi
  [[ \${#COMPREPLY[@]} -gt 0 && "\${COMPREPLY[0]}" == *: ]] && compopt -o nospace 2>/dev/null
  # Only what stands behind the last break of a word is replaced.
  prefix="\${current%"\${current##*["$COMP_WORDBREAKS"]}"}"
  COMPREPLY=("\${COMPREPLY[@]#"$prefix"}")
}
complete -F _tapedeck tapedeck
`;

const ZSH = `#compdef tapedeck
_tapedeck() {
  local word about files="" line
  local -a whole described begun begunDescribed
  while IFS=$'\\t' read -r word about; do
    line="$word\${about:+  -- $about}"
    if [[ $word == ${FILES_WORD} ]]; then files=yes
    elif [[ $word == *: ]]; then begun+=("$word"); begunDescribed+=("$line")
    else whole+=("$word"); described+=("$line"); fi
  done < <("\${words[1]}" complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  [[ -n $files ]] && { [[ $PREFIX == --*=* ]] && compset -P '*='; _files; return }
  (( $#whole )) && compadd -l -d described -a whole
  (( $#begun )) && compadd -l -S '' -d begunDescribed -a begun
}
compdef _tapedeck tapedeck
`;

const FISH = `function __tapedeck_complete
  set -l words (commandline -opc) (commandline -ct)
  for line in ($words[1] complete -- $words[2..-1] 2>/dev/null)
    if string match -q '${FILES_WORD}*' -- $line
      __fish_complete_path (commandline -ct | string replace -r '^--[^=]*=' '')
    else
      echo $line
    end
  end
end
complete -c tapedeck -f -a '(__tapedeck_complete)'
`;

export const SCRIPTS: Readonly<Record<string, string>> = { bash: BASH, zsh: ZSH, fish: FISH };
