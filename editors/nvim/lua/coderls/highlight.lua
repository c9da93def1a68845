-- Colours of the ghost text, also where the terminal has no more than 256 of them.
local M = {}

-- Grey in the middle: it is read on dark and on light backgrounds.
local GREY = { fg = '#808080', ctermfg = 244, italic = true, cterm = { italic = true } }
local GONE = { fg = '#808080', ctermfg = 244, strikethrough = true, cterm = { strikethrough = true } }
local COUNT = { fg = '#808080', ctermfg = 244 }

local function has_cterm(name)
  return vim.api.nvim_get_hl(0, { name = name, link = false }).ctermfg ~= nil
end

--- Define what the colour scheme does not, and lend Neovim's own ghost text a colour where it has none.
function M.define()
  vim.api.nvim_set_hl(0, 'CoderlsGhost', vim.tbl_extend('force', GREY, { default = true }))
  vim.api.nvim_set_hl(0, 'CoderlsGone', vim.tbl_extend('force', GONE, { default = true }))
  vim.api.nvim_set_hl(0, 'CoderlsCount', vim.tbl_extend('force', COUNT, { default = true }))
  for native, ours in pairs({ ComplHint = 'CoderlsGhost', ComplHintMore = 'CoderlsCount' }) do
    if vim.fn.hlexists(native) == 1 and not has_cterm(native) then
      vim.api.nvim_set_hl(0, native, { link = ours })
    end
  end
end

return M
