# Completion of tartlet for bash. What is offered comes from the program itself (`tartlet --complete`);
# this only cuts the line into its words and gives the answer to bash.
# shellcheck shell=bash

# A word as the program would get it.
_tartlet_bare()
{
	local word=${1//\\/}
	REPLY=${word//[\"\']/}
}

_tartlet()
{
	local rest=${COMP_LINE:0:COMP_POINT} words=() starts=() bare=() lines=() REPLY part line i

	# bash cuts at "=" and ":", too: what no space separates is one word.
	for ((i = 0; i <= COMP_CWORD; i++)); do
		if [[ $i -eq 0 || $rest == [[:space:]]* ]]; then
			rest=${rest#"${rest%%[![:space:]]*}"}
			words+=("")
			starts+=("$i")
		fi
		part=${COMP_WORDS[i]}
		[[ $i -lt $COMP_CWORD ]] || part=$rest
		words[-1]+=$part
		rest=${rest#"$part"}
	done
	for part in "${words[@]}"; do
		_tartlet_bare "$part"
		bare+=("$REPLY")
	done

	local raw=${words[-1]} written=${bare[-1]} head=""
	local replaced=${raw%"$2"} # stays in the line: bash replaces what stands behind it
	_tartlet_bare "$replaced"
	replaced=$REPLY
	[[ $written != --*=* ]] || head=${written%%=*}=

	mapfile -t lines < <("${bare[0]/#\~\//$HOME/}" --complete "${bare[@]:1}" 2>/dev/null)
	COMPREPLY=()
	for line in "${lines[@]}"; do
		local found=()
		case $line in
		:files | :directories)
			i=-f
			[[ $line == :files ]] || i=-d
			compopt -o filenames 2>/dev/null
			mapfile -t found < <(compgen "$i" -- "${written#"$head"}")
			;;
		":command "*)
			i=$((${line#:command } + 1))
			if declare -F _command_offset >/dev/null; then
				_command_offset "${starts[i]}"
				return
			fi
			if [[ $i -eq $((${#words[@]} - 1)) ]]; then
				mapfile -t found < <(compgen -c -- "$written")
			else
				compopt -o filenames 2>/dev/null
				mapfile -t found < <(compgen -f -- "$written")
			fi
			;;
		*)
			# A quote that the person opened is theirs; else what needs quoting gets it.
			part=${line%%$'\t'*}
			[[ $head$part == "$written"* ]] || continue
			part=$head$part
			part=${part#"$replaced"}
			[[ $raw == *[\"\']* ]] || printf -v part %q "$part"
			COMPREPLY+=("$part")
			continue
			;;
		esac
		for part in "${found[@]}"; do
			part=$head$part
			COMPREPLY+=("${part#"$replaced"}")
		done
	done
}

complete -F _tartlet tartlet
