-- `:checkhealth coderls`
local client_of = require('coderls.client')
local config = require('coderls.config')
local health = vim.health

local M = {}

local function editor()
  health.start('Neovim')
  if vim.fn.has('nvim-0.11') == 0 then
    return health.error('Neovim 0.11 or newer is needed.', 'Upgrade Neovim.')
  end
  health.ok('version ' .. tostring(vim.version()))
  local by = config.ghost_text()
  local words = {
    native = 'Neovim draws the ghost text (vim.lsp.inline_completion)',
    own = 'the plugin draws the ghost text',
    off = 'no ghost text: completions are in the completion list (CTRL-X CTRL-O)',
  }
  health.ok(words[by])
  local name = by == 'native' and 'ComplHint' or 'CoderlsGhost'
  local colours = vim.api.nvim_get_hl(0, { name = name, link = false })
  if by ~= 'off' and not vim.o.termguicolors and colours.ctermfg == nil then
    health.warn(
      ('the highlight %s has no colour in this terminal'):format(name),
      'Give it a ctermfg, or set termguicolors.'
    )
  end
end

local function next_edit()
  if not config.options.next_edit then
    return health.info('next edits are switched off (option next_edit)')
  end
  local keys = {}
  for _, mode in ipairs({ 'n', 'i' }) do
    for _, map in ipairs(vim.api.nvim_get_keymap(mode)) do
      if (map.rhs or ''):find('(coderls-next-edit)', 1, true) then
        table.insert(keys, ('%s (%s)'):format(map.lhs, mode))
      end
    end
  end
  local by = #keys > 0 and table.concat(keys, ', ') or ':Coderls next (no key is mapped to <Plug>(coderls-next-edit))'
  health.ok('next edits are shown in their place, and taken by ' .. by)
end

local function program()
  health.start('the server')
  if not vim.lsp.is_enabled('coderls') then
    health.warn('coderls is not enabled', "Put vim.lsp.enable('coderls') into your init.lua.")
  end
  local command = client_of.command()
  if command == nil then
    return health.info('its command is a function')
  end
  if vim.fn.executable(command[1]) == 0 then
    return health.error(('there is no command %s'):format(command[1]), {
      'Install coderls: its README says how.',
      "Or name it: vim.lsp.config('coderls', { cmd = { '/path/to/coderls', '--stdio' } })",
    })
  end
  local done =
    vim.system(vim.list_extend(vim.deepcopy(command), { '--version' }), { text = true, stdin = false }):wait(20000)
  if done.code ~= 0 then
    return health.error(
      ('%s --version failed: %s'):format(command[1], vim.trim(done.stderr or '')),
      'Install coderls again.'
    )
  end
  health.ok(('%s (%s)'):format(vim.trim(done.stdout), vim.fn.exepath(command[1])))
end

local function servers()
  health.start('running')
  local clients = vim.lsp.get_clients({ name = 'coderls' })
  if #clients == 0 then
    health.info('no server runs: it starts with the first file that is opened')
  end
  for _, client in ipairs(clients) do
    local buffers = vim.tbl_keys(client.attached_buffers)
    local status = require('coderls.status').of(buffers[1]) or { state = 'ready', text = 'running' }
    local line = ('%s: %s, %d buffers'):format(client.root_dir or 'no folder', status.text, #buffers)
    if status.state == 'error' or status.state == 'offline' then
      health.error(line, { status.detail or '', ':Coderls doctor looks at everything, and makes one completion.' })
    else
      health.ok(line)
    end
  end
end

--- Look at the editor, the program and what runs.
function M.check()
  editor()
  next_edit()
  program()
  servers()
end

return M
