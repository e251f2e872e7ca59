"""The scripts of sh that look after a server on its host. Pure.

What they tell this program stands in lines of their own (`@@NAME VALUE`); other lines are docker's
words. Each is a function that is read as a whole before it runs, so that nothing in it eats the
rest of the script, which comes by standard input.
"""

from __future__ import annotations

import shlex

from orchestrator.serving.docker_command import (
    INNER_PORT,
    LABEL,
    LABEL_DIGEST,
    LABEL_PORT,
    DockerRun,
    Template,
    quoted,
)

MARK = "@@"
NO_DOCKER = 41
NO_ENGINE = 42
NOT_OURS = 43
DIFFERS = 44
DIED = 45
"""Exit codes of the scripts; docker's own words say more of all others."""
POLL_S = 2
LAST_LINES = 20
"""Of a server's log, where it has died."""
FACTS = (
    '{"state":{{json .State}},"restarts":{{.RestartCount}},'
    '"labels":{{json .Config.Labels}},"image":{{json .Config.Image}}}'
)
"""What is asked of a container: a template of docker's. Its environment may hold secrets."""
COMMAND_FACTS = (
    '{"path":{{json .Path}},"args":{{json .Args}},"image":{{json .Config.Image}},'
    '"env":{{json .Config.Env}},"mounts":{{json .Mounts}}}'
)
HUB_CACHE = "hub_cache=${HF_HOME:-$HOME/.cache/huggingface}"

_PRELUDE = f"""\
LC_ALL=C; export LC_ALL
# a login without a terminal has a short PATH on many hosts
PATH=$PATH:/usr/local/bin:/opt/homebrew/bin:/snap/bin; export PATH
command -v docker >/dev/null || return {NO_DOCKER}
docker version >/dev/null || return {NO_ENGINE}
"""


def up_script(run: DockerRun, template_text: str | None, *, replace: bool) -> str:
    """Start a server, unless it runs already, and tell how it comes up until it is healthy."""
    name, image = shlex.quote(run.name), shlex.quote(run.image)
    digest = run.digest()
    return _function(f"""\
{HUB_CACHE}
{_put_template(run.template, template_text)}
create() {{
    docker image inspect {image} >/dev/null 2>&1 || {{
        tell step pull
        docker pull {image} || return
    }}
    [ -z "$old" ] || docker rm --force {name} >/dev/null || return
    tell step start
    mkdir -p "$hub_cache" || return
    docker {quoted(run.words())} >/dev/null && return
    code=$?
    docker rm {name} >/dev/null 2>&1 # what could not start; one that runs, somebody else started
    for holder in $(docker ps --filter publish={run.port} --format '{{{{.Names}}}}'); do
        tell holder "$holder"
    done
    return $code
}}
ours=1 # whether this script has started it
old=$(docker inspect --type container --format '{FACTS}' {name} 2>/dev/null)
if [ -z "$old" ]; then
    create || return
else
    tell found "$old"
    case $(docker inspect --format '{_label(LABEL_DIGEST)}:{{{{.State.Status}}}}' {name}) in
    :*) return {NOT_OURS} ;;
    {digest}:running|{digest}:restarting) tell step already; ours= ;;
    {digest}:*) tell step again; docker start {name} >/dev/null || return ;;
    *) [ {int(replace)} = 1 ] || return {DIFFERS}; create || return ;;
    esac
fi
{_watch(run)}""")


def status_script(name: str, port: int) -> str:
    """What docker knows of the container, whether it is healthy, and the GPU's memory.

    `port` is asked where the container does not tell its own.
    """
    quoted = shlex.quote(name)
    return _function(f"""\
found=$(docker inspect --type container --format '{FACTS}' {quoted} 2>/dev/null) || return 0
tell found "$found"
port=$(docker inspect --format '{_label(LABEL_PORT)}' {quoted})
tell health "$(health {quoted} "${{port:-{port}}}")"
tell log "$(last_line {quoted})"
command -v nvidia-smi >/dev/null && tell gpu "$(nvidia-smi \\
    --query-gpu=memory.used,memory.total --format=csv,noheader,nounits 2>/dev/null)"
return 0
""")


def command_script(name: str) -> str:
    """How a container was started; nothing where there is none."""
    ask = f"docker inspect --type container --format '{COMMAND_FACTS}' {shlex.quote(name)}"
    return _function(f"""\
found=$({ask} 2>/dev/null) && tell found "$found"
return 0
""")


def logs_script(name: str, *, follow: bool, lines: int) -> str:
    """The server's log; one that is followed ends when nobody listens here any more."""
    quoted = shlex.quote(name)
    read = f"docker logs --tail {lines} {quoted}"
    if follow:
        read = f"""\
docker logs --follow --tail {lines} {quoted} & logs=$!
(cat <&3; kill $logs) >/dev/null 2>&1 & listens=$!
wait $logs; code=$?
kill $listens
return $code"""
    return _function(f"""\
docker inspect --type container {quoted} >/dev/null 2>&1 || {{ tell absent; return 0; }}
{read}
""")


def down_script(name: str) -> str:
    """Stop the container and remove it, if it is ours. Its image and the weights stay."""
    quoted = shlex.quote(name)
    return _function(f"""\
owner=$(docker inspect --type container --format '{_label(LABEL)}' {quoted} 2>/dev/null) || {{
    tell absent
    return 0
}}
[ -n "$owner" ] || return {NOT_OURS}
docker stop -t 20 {quoted} >/dev/null || return
docker rm --force {quoted} >/dev/null
""")


def template_lines(template: Template) -> str:
    """Set the variable by which commands mount it."""
    folder = f'"${{XDG_CACHE_HOME:-$HOME/.cache}}/{template.folder}"'
    return f"templates={folder}\ntemplate=$templates/{template.file_name}"


def _put_template(template: Template | None, text: str | None) -> str:
    if template is None:
        return ""
    assert text is not None, "a template is brought with its text"
    return f"""\
{template_lines(template)}
mkdir -p "$templates" || return
printf %s {shlex.quote(text)} >"$template.$$" && mv "$template.$$" "$template" || return
"""


def _watch(run: DockerRun) -> str:
    """Tell how it stands every few seconds, until it is healthy or has died.

    One that was started here and dies is stopped: it would load its weights again and again. One
    that ran before gets the time to come back by itself, once.
    """
    name = shlex.quote(run.name)
    return f"""\
before=
while :; do
    state=$(docker inspect --format '{{{{.State.Status}}}} {{{{.RestartCount}}}}' {name}) || return
    count=${{state#* }}
    code=$(health {name} {run.port})
    tell log "$(last_line {name})"
    [ "$code" != 200 ] || return 0
    [ "${{before:=$count}}" = "$count" ] || break
    [ -z "$ours" ] || [ "${{state% *}}" = running ] || break
    sleep {POLL_S}
done
[ -z "$ours" ] || {{ docker stop -t 5 {name} >/dev/null 2>&1 && tell stopped; }}
docker logs --tail {LAST_LINES} {name} 2>&1 | tr '\\r' '\\n' |
    while IFS= read -r line; do tell death "$line"; done
return {DIED}
"""


def _label(key: str) -> str:
    """Of docker's templates."""
    return f'{{{{index .Config.Labels "{key}"}}}}'


def _function(body: str) -> str:
    return f"""\
tell() {{ printf '{MARK}%s %s\\n' "$1" "${{2-}}"; }}
last_line() {{ docker logs --tail 1 "$1" 2>&1 | tr '\\r' '\\n' | tail -n 1; }}
# the HTTP status of /health; 000 where nobody answers
health() {{
    if command -v curl >/dev/null; then
        curl -s -o /dev/null -m 5 --noproxy '*' -w '%{{http_code}}' "http://127.0.0.1:$2/health"
    else
        docker exec "$1" python3 -c 'import urllib.request as r
o = r.build_opener(r.ProxyHandler({{}}))
print(o.open("http://127.0.0.1:{INNER_PORT}/health", timeout=5).status)' 2>/dev/null || echo 000
    fi
}}
serve() {{
{_PRELUDE}{body}}}
# in one line: a shell reads it whole, before anything else can read from standard input
serve 3<&0 </dev/null 2>&1; exit
"""
