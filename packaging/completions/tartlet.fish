# Completion of tartlet for fish. What is offered comes from the program itself (`tartlet --complete`).

function __tartlet_complete
    set -l words (commandline -opc)
    set -l raw (commandline -ct)
    set -l written (string unescape -- $raw; or echo -- $raw)
    set -l program $words[1]
    set -e words[1]
    # Of --option=VALUE the program knows the VALUE; fish wants the whole word.
    set -l head (string match -r -- '^--[^=]*=' "$written")
    set -l value (string replace -- "$head" '' "$written")

    for line in ($program --complete $words "$written" 2>/dev/null)
        switch $line
            case :files
                printf '%s\n' "$head"(__fish_complete_path "$value")
            case :directories
                printf '%s\n' "$head"(__fish_complete_directories "$value" '')
            case ':command *'
                set -l first (math (string replace ':command ' '' -- $line) + 1)
                set -l before
                test $first -le (count $words)
                and set before (string escape -- $words[$first..-1])
                complete -C (string join ' ' -- $before "$raw")
            case '*'
                printf '%s\n' "$head$line"
        end
    end
end

complete -c tartlet -f -a '(__tartlet_complete)'
