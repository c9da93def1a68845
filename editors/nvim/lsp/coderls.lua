-- What `vim.lsp.enable('coderls')` starts. Change parts of it with `vim.lsp.config('coderls', { ... })`.

---@type vim.lsp.Config
return {
  cmd = { 'coderls', '--stdio' },
  -- No `filetypes`: the server knows every language in some way, and says in which files it is silent.
  root_dir = function(bufnr, on_dir)
    require('coderls.client').root_dir(bufnr, on_dir)
  end,
  before_init = function(params)
    require('coderls.client').before_init(params)
  end,
  on_exit = function(code, signal, client_id)
    require('coderls.client').on_exit(code, signal, client_id)
  end,
  commands = {
    -- The code action "Rewrite by an instruction" leaves it to the editor to ask for the instruction.
    ['coderls.rewrite'] = function(command, ctx)
      local target, instruction = unpack(command.arguments or {})
      require('coderls.commands').rewrite(ctx.bufnr, target, instruction)
    end,
  },
  handlers = {
    ['coderls/status'] = function(_, result, ctx)
      require('coderls.status').told(ctx.client_id, result)
    end,
    ['coderls/nextEditFound'] = function(_, result)
      require('coderls.next_edit').found(result.uri)
    end,
  },
}
