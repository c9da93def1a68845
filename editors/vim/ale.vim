" For your vimrc: coderls in ALE, in Vim 9. Completions are in the completion list.
" ALE knows a language server as a linter of a file type; this makes coderls one of each type that you list.

let g:ale_completion_enabled = get(g:, 'ale_completion_enabled', 1)
let g:coderls_command = get(g:, 'coderls_command', 'coderls')
let g:coderls_filetypes = get(g:, 'coderls_filetypes', ['python', 'javascript', 'typescript', 'go', 'rust', 'c', 'cpp'])
" Settings of the server: let g:coderls_options = {'engine': {'model': 'qwen2.5-coder-1.5b'}}
let g:coderls_options = get(g:, 'coderls_options', {})

function! CoderlsRoot(buffer) abort
  let l:found = ale#path#FindNearestDirectory(a:buffer, '.git')
  if !empty(l:found)
    return fnamemodify(l:found, ':p:h:h')
  endif
  for l:marker in ['pyproject.toml', 'package.json', 'go.mod', 'Cargo.toml']
    let l:found = ale#path#FindNearestFile(a:buffer, l:marker)
    if !empty(l:found)
      return fnamemodify(l:found, ':p:h')
    endif
  endfor
  return expand('#' .. a:buffer .. ':p:h')
endfunction

function! CoderlsRegister() abort
  for l:filetype in g:coderls_filetypes
    call ale#linter#Define(l:filetype, {
    \   'name': 'coderls',
    \   'lsp': 'stdio',
    \   'executable': {buffer -> split(g:coderls_command)[0]},
    \   'command': {buffer -> g:coderls_command .. ' --stdio'},
    \   'project_root': function('CoderlsRoot'),
    \   'initialization_options': {buffer -> g:coderls_options},
    \})
  endfor
endfunction

augroup coderls
  autocmd!
  autocmd VimEnter * call CoderlsRegister()
augroup END
