-- Commands, <Plug> mappings, highlights, and the ghost text of buffers that coderls is attached to.
if vim.g.loaded_coderls then
  return
end
vim.g.loaded_coderls = true

if vim.fn.has('nvim-0.11') == 0 then
  vim.notify('coderls: Neovim 0.11 or newer is needed.', vim.log.levels.ERROR)
  return
end

local group = vim.api.nvim_create_augroup('coderls', {})

local function on(event, callback, pattern)
  vim.api.nvim_create_autocmd(event, { group = group, pattern = pattern, callback = callback })
end

require('coderls.highlight').define()
on('ColorScheme', function()
  require('coderls.highlight').define()
end)

local function is_ours(args)
  local client = vim.lsp.get_client_by_id(args.data.client_id)
  return client ~= nil and client.name == 'coderls'
end

on('LspAttach', function(args)
  if is_ours(args) then
    require('coderls').attach(args.buf)
  end
end)

on('LspDetach', function(args)
  if is_ours(args) then
    require('coderls').detach(args.buf)
  end
end)

-- A buffer that had no name was not attached; now it is a file.
on({ 'BufFilePost', 'BufWritePost' }, function(args)
  require('coderls.client').named(args.buf)
end)

-- Neovim says nothing where the command is missing.
on('FileType', function(args)
  require('coderls.client').opened(args.buf)
end)

for name, call in pairs({
  accept = 'accept()',
  ['accept-word'] = "accept('word')",
  ['accept-line'] = "accept('line')",
  next = 'next()',
  previous = 'previous()',
  dismiss = 'dismiss()',
  ask = 'ask()',
}) do
  vim.keymap.set('i', '<Plug>(coderls-' .. name .. ')', "<Cmd>lua require('coderls')." .. call .. '<CR>', {
    silent = true,
    desc = 'coderls: ' .. name,
  })
end

for name, call in pairs({ ['next-edit'] = 'next_edit()', ['dismiss-next-edit'] = 'dismiss_next_edit()' }) do
  vim.keymap.set({ 'n', 'i' }, '<Plug>(coderls-' .. name .. ')', "<Cmd>lua require('coderls')." .. call .. '<CR>', {
    silent = true,
    desc = 'coderls: ' .. name,
  })
end

vim.api.nvim_create_user_command('Coderls', function(args)
  require('coderls.commands').run(args)
end, {
  nargs = '*',
  range = true,
  desc = 'coderls: status, next, pause, explain, doctor, log, rewrite, restart',
  complete = function(lead, line)
    return require('coderls.commands').complete(lead, line)
  end,
})
