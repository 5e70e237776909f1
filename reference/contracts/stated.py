"""Equations of the public functions
=================================

As they stand in the code, above the lines that compute them; ``python tests/stated.py`` writes
this file.
"""

STATED = """\
assign.assign_columns
  Eq. (93), subbit:  B_ij = argmin_{B ∈ {−1, +1}^p} |W_ij − μ_i − Σ_p B_p r_p,i c_p,j|
baselines.gptq.gptq_layer
  Eq. (14), subbit:  columns by decreasing H_jj, a dead input counting as 1
baselines.pb_llm.pb_llm_layer
  Eq. (47), subbit:  Q_ij = μ_i + α_i sign(W_ij − μ_i) under L, s_i (C_ij − z_i) elsewhere
  Eq. (45), subbit:  L = [score ≤ the quantile of all rows of the block], by trailing or |w|
  Eq. (46), subbit:  μ_i = Σ_j L_ij W_ij / k,  α_i = Σ_j |L_ij W_ij − μ_i| / k
baselines.rtn.minmax_grid
  Eq. (11), subbit:  s = (max − min) / (2^b − 1),  z = round(−min / s)
baselines.rtn.grid_codes
  Eq. (12), subbit:  C = clip(round(W / s) + z, 0, 2^b − 1)
baselines.rtn.rtn_layer
  Eq. (13), subbit:  Q_g = nearest level of each row's grid in the columns of group g
baselines.sparsegpt.sparsegpt_prune
  Alg. 1, SparseGPT:  Q_:j = M_:j ∘ W_:j, so that E_:j = (1 − M_:j) ∘ W_:j / U_jj
baselines.sparsegpt.sparsegpt_layer
  Alg. 1, SparseGPT:  Q_:j = M_:j ∘ W_:j, so that E_:j = (1 − M_:j) ∘ W_:j / U_jj
baselines.wanda.wanda_layer
  Alg. 1, Wanda:  M from the metric |W| · ‖X‖₂,  Q = M ∘ W
compensate.feedback
  Eq. (4), GPTQ:  δ_F = −(w_Q − quant(w_Q)) ([H⁻¹]_QQ)⁻¹ [H⁻¹]_QF = −D_B U_BB⁻¹ U_BF
  Alg. 1, BiLLM:  E = (W_B − B) / H^c_BB
  Alg. 1, GPTQ:  E_:i = (W_:i − Q_:i) / U_ii
compensate.compensate_step
  Alg. 1, BiLLM:  W_R ← W_R − E H^c_BR
  Eq. (2), GPTQ:  δ_F = −(w_q − quant(w_q)) / [H⁻¹]_qq · [H⁻¹]_qF = −E U_qF
  Eq. (48), subbit:  W_R ← W_R − (E U_BR) ∘ M_R
compensate.compensate
  Alg. 1, BiLLM:  one block after the other, W_R carrying the error
  Alg. 1, BiLLM:  W_R ← W_R − E H^c_BR
  Eq. (2), GPTQ:  δ_F = −(w_q − quant(w_q)) / [H⁻¹]_qq · [H⁻¹]_qF = −E U_qF
  Eq. (48), subbit:  W_R ← W_R − (E U_BR) ∘ M_R
groups.arb.arb_start
  Alg. 1, ARB-LLM:  μ = Σ M∘W / m,  α = Σ M∘|W − μ| / m,  B = sign(M∘W)
groups.arb.refine_mean
  Eq. (3), ARB-LLM:  R = W − Ŵ,  μ ← μ + mean R
groups.arb.refine_scale
  Eq. (4), ARB-LLM:  α = Σ B∘(W − μ) / Σ B²
  Eq. (7), ARB-LLM:  α₁ = Σ B₁∘(W − μ − α₂B₂) / Σ B₁²,  then α₂ likewise
groups.arb.joint_signs
  Eq. (8), ARB-LLM:  (B₁, B₂) = argmin |Z − (± α₁ ± α₂)|
groups.arb.refine_signs
  Eq. (4), ARB-LLM:  B = sign(W − μ)
groups.arb.arb_steps
  Alg. 1, ARB-LLM:  for t = 1 … T:  μ, then α, then B
groups.arb.arb
  Alg. 1, ARB-LLM:  for t = 1 … T:  μ, then α, then B
groups.arb_rc.rc_start
  Eq. (12), ARB-LLM:  for W, and at order 2 for what is left of it
  Eq. (12), ARB-LLM:  α_r = mean_j |W_ij|,  α_c = mean_i |W_ij| / α_r,i,  B = sign(W)
groups.arb_rc.refine_row_scale
  Eq. (13), ARB-LLM:  α_r = Σ_j α_c B∘W / Σ_j α_c² B²
groups.arb_rc.refine_column_scale
  Eq. (13), ARB-LLM:  α_c = Σ_i α_r B∘W / Σ_i α_r² B²
groups.arb_rc.arb_rc_steps
  Eq. (13), ARB-LLM:  for t = 1 … T:  α_r, then α_c
  Eq. (13), ARB-LLM:  α_r = Σ_j α_c B∘W / Σ_j α_c² B²
  Eq. (13), ARB-LLM:  α_c = Σ_i α_r B∘W / Σ_i α_r² B²
groups.arb_rc.arb_rc
  Eq. (13), ARB-LLM:  for t = 1 … T:  α_r, then α_c
  Eq. (13), ARB-LLM:  α_r = Σ_j α_c B∘W / Σ_j α_c² B²
  Eq. (13), ARB-LLM:  α_c = Σ_i α_r B∘W / Σ_i α_r² B²
groups.arb_x.calibrated_sums
  Eq. (25), subbit:  G_pq = e_p S e_qᵀ,  g_p = e_p S wᵀ,  e = (m, b₁, b₂)
groups.arb_x.calibrated_mean
  Eq. (4), PBS2P:  μ = 1ᵀS(W − αB)ᵀ / 1ᵀS1,  1 over the entries that have the mean
  Eq. (11), ARB-LLM:  μ = 1ᵀS(W − αB)ᵀ / 1ᵀS1
groups.arb_x.calibrated_scale
  Eq. (11), ARB-LLM:  α = diag(B S (W − μ)ᵀ) / diag(B S Bᵀ)
groups.arb_x.calibrate_levels
  Eq. (27), subbit:  x_p ← (g_p − Σ_{q≠p} G_pq x_q) / (G_pp + ε),  x = (μ, α₁, α₂)
groups.arb_x.arb_x_steps
  Eq. (11), ARB-LLM:  in every round μ, then α
groups.arb_x.arb_x
  Eq. (27), subbit:  x_p ← (g_p − Σ_{q≠p} G_pq x_q) / (G_pp + ε),  x = (μ, α₁, α₂)
groups.binarize.masked_mean
  Eq. (6), subbit:  μ_i = Σ_j M_ij W_ij / c_i
groups.binarize.masked_scale
  Eq. (12), BiLLM:  α_i = ‖W_i‖₁ / c_i over the group's entries
groups.binarize.binarize_once
  Eq. (1), ARB-LLM:  μ = mean W,  α = mean |W − μ|,  B = sign(W − μ)
  Eq. (1), BiLLM:  Ŵ = α B,  B = sign(W),  α = ‖W‖₁ / c
groups.binarize.residual_binarize
  Eq. (6), BiLLM:  α_o, B_o from W;  α_r, B_r from W − α_o B_o
  Eq. (7), BiLLM:  W ≈ α_o B_o + α_r B_r
  Eq. (6), ARB-LLM:  Ŵ = α₁B₁ + α₂B₂ + μ
groups.factors.start_signs
  Eq. (102), subbit:  h ← (h xor ⌊h / 2¹⁶⌋) · 2146121005 modulo 2³², and so on
groups.factors.project_rank_one
  Eq. (power), NanoQuant:  u ← |M| v / ‖ |M| v ‖,  v ← |M|ᵀ u,  σ = ‖v‖
  Eq. (projection), NanoQuant:  P(M) = sign(M) ∘ σ u vᵀ,  σ v = |M|ᵀ u
  Eq. (103), subbit:  X_i ← X_i / ‖X_i‖
groups.factors.admm_step
  Eq. (left), NanoQuant:  A (X Xᵀ + (ρ + λ) I) = W Xᵀ + ρ (Y − φ),  rows of X of length one
  Eq. (dual), NanoQuant:  Y ← P(A + φ),  φ ← φ + A − Y
  Eq. (right), NanoQuant:  (X Xᵀ + (ρ + λ) I) B = X W + ρ (Z − θ)
  Eq. (dual), NanoQuant:  Z ← P(B + θ),  θ ← θ + B − Z
  Eq. (103), subbit:  X_i ← X_i / ‖X_i‖
  Eq. (104), subbit:  A = C G⁻¹,  G⁻¹ = FᵀF
groups.joint_levels.solve_levels
  Eq. (21), subbit:  (μ, α) = argmin ‖Z − μ m − Σ α_p b_p‖²,  a system of 2 or 3 for a row
groups.joint_levels.two_means
  Eq. (24), subbit:  μ = (m₋ + m₊) / 2,  α = (m₊ − m₋) / 2
  Eq. (23), subbit:  ‖W − μ‖² − error_j = c C_j² / (j (c − j)),  C_j = Σ_{i≤j} (w_i − μ)
groups.leveling.fit_steps
  Eq. (79), subbit:  s_0 = γ (Σ_j w_j x_ij² / Σ_j w_j)^{1/2},  γ the code's step
  Eq. (78), subbit:  s = Σ_j w_j x_ij L_ij / Σ_j w_j L_ij²
groups.leveling.code_exponents
  Eq. (80), subbit:  e = round(16 log2(s / ρ)), at least −128 and at most 127
groups.product_sweeps.refit_row_scales
  Eq. (105), subbit:  s_i = W_i H Z_iᵀ / (Z_i H Z_iᵀ)
groups.product_sweeps.refit_column_scales
  Eq. (106), subbit:  R = H ∘ YᵀY,  g_j = Σ_i Y_ij [W H]_ij
  Eq. (107), subbit:  c = R⁻¹ g,  R⁻¹ = FᵀF
groups.product_sweeps.sweep_signs
  Eq. (110), subbit:  K = diag(c) H diag(c),  y = [TᵀP diag(c)]_k / [TᵀT]_kk
  Eq. (109), subbit:  K = N H Nᵀ,  y = P_i Nᵀ / s_i,  P = D H
  Eq. (108), subbit:  x_j ← sign(x_j + y_j / K_jj),  y ← y − δ K_j
groups.row_split.row_split
  Eq. (123), subbit:  p_il = quantile(|X_i|, 0.1 + 0.8 l / (levels − 1))
  Eq. (124), subbit:  t_i = argmin_l Σ_j (X_ij − μ_i − α_i B_ij)², the first of equal ones
  Eq. (125), subbit:  α_i = (Σ_j (X_ij − μ_i)² / c_i)^{1/2}
groups.sweeps.sweep_levels
  Eq. (84), subbit:  P ← P − δ H
  Eq. (81), subbit:  r_i ← r_i + Z_i P_iᵀ / (Z_i H Z_iᵀ)
  Eq. (82), subbit:  δ_i² Z_i H Z_iᵀ − 2 δ_i Z_i P_iᵀ < 0 where it is taken
  Eq. (83), subbit:  t_:j = L_:j + P_:j / (r c_j H_jj)
  Eq. (85), subbit:  δ_i H δ_iᵀ − 2 P_i δ_iᵀ < 0 where it is taken
haar.haar
  Eq. (120), subbit:  L = (X_even + X_odd) / √2,  D = (X_even − X_odd) / √2
haar.inverse_haar
  Eq. (121), subbit:  X_even = (L + D) / √2,  X_odd = (L − D) / √2
hbllm.hbllm_block
  Eq. (128), subbit:  E = W_:A − Q_:A
  Eq. (126), subbit:  columns by ‖S_:j‖₂
  Eq. (127), subbit:  F_:j = mean of W_:l, |l − j| ≤ 3, l not salient
hbllm.hbllm_layer
  Eq. (128), subbit:  E = W_:A − Q_:A
  Eq. (126), subbit:  columns by ‖S_:j‖₂
  Eq. (127), subbit:  F_:j = mean of W_:l, |l − j| ≤ 3, l not salient
hessian.accumulate_hessian
  Eq. (7), subbit:  H = 2/N Σ_s X_sᵀ X_s
hessian.dead_inputs
  Eq. (8), subbit:  dead_j  ⇔  H_jj = 0
hessian.damp
  Eq. (9), subbit:  H ← H + λI,  λ = percdamp · mean(diag H)
hessian.inverse_factor
  Alg. 1, BiLLM:  H^c = Cholesky((H + λI)⁻¹), so that H⁻¹ = UᵀU
hessian.prepare_hessian
  Eq. (9), subbit:  H ← H + λI,  λ = percdamp · mean(diag H)
layer.block_slices
  Alg. 1, BiLLM:  for b = 0, β, 2β, …
objective.weight_error
  Eq. (4), BiLLM:  L1 = ‖W − αB‖²
  Eq. (1), ARB-LLM:  L1 = ‖W − (αB + μ)‖²
objective.calibrated_error
  Eq. (1), GPTQ:  L2 = ‖WX − ŴX‖²
objective.calibrated_error_trace
  Eq. (3), subbit:  L2 = Tr(D S Dᵀ)
objective.gram_cost_ratio
  Eq. (10), ARB-LLM:  n k B L T / (k² B L + n k² T) = 1 / (k (1 / (n T) + 1 / (B L)))
objective.relative_error
  Eq. (4), subbit:  ε = Tr(D S Dᵀ) / Tr(W S Wᵀ)
objective.proxy_loss
  Eq. (5), subbit:  ℒ = ½ Tr(D H Dᵀ)
pbs2p.pbs2p_block
  Eq. (65), subbit:  sweeps match W, pruned weights included, or P ∘ W
pbs2p.pruning_masks
  Eq. (62), subbit:  s_t = scores of argmin_{W' ⊙ (1 − P_{t−1}) = 0} (W' − W) H (W' − W)ᵀ
  Eq. (63), subbit:  s_ij = u_j |W_ij − μ_i|^p,  p = 2, for magnitude and Wanda 1
pbs2p.pbs2p_layer
  Eq. (62), subbit:  s_t = scores of argmin_{W' ⊙ (1 − P_{t−1}) = 0} (W' − W) H (W' − W)ᵀ
  Eq. (63), subbit:  s_ij = u_j |W_ij − μ_i|^p,  p = 2, for magnitude and Wanda 1
propagation.accumulate_cross
  Eq. (66), subbit:  C = 2/N Σ_s D_sᵀ X_s
propagation.propagated_weights
  Eq. (correction), QEP:  M = α W C
  Eq. (stream), LoaQ:  M ← M + β R
  Eq. (67), subbit:  W* = W + M (H + λI)⁻¹,  (H + λI)⁻¹ = UᵀU
pruning.budgets.norm_budget
  Eq. (ratio), STBLLM:  N_l / M = α_l + (1 − α_l) N / M,  α_l = w_l / Σ w
pruning.budgets.outlier_share
  Eq. (outliers), OWL:  o_l = 100 · #{s > T mean(s)} / #s
pruning.budgets.outlier_budget
  Eq. (ratio), OWL:  z_l = λ (o_l − min o) / (max o − min o),  z_l ← z_l − mean z
pruning.budgets.repair_budget
  Eq. (38), subbit:  min Σ (N_l − x_l)²,  Σ N_l = L N:  the cheapest steps v → v + 1
pruning.cfs.block_cosine
  Eq. (58), subbit:  c_l = mean_t cos(x_t, y_t)
pruning.cfs.layer_importance
  Eq. (59), subbit:  LI_l = 2 − c_l / mean(c)
  Eq. (60), subbit:  LI_l = i_l / mean(i),  i = arccos(c) / π, 1 − c or 1 / c
pruning.cfs.coarse_budget
  Eq. (7), PBS2P:  N_l = min(N_high, max(N_low, ⌊N LI_l + ½⌋))
  Eq. (61), subbit:  N_low + (N_high − N_low)(LI_l − min LI) / (max LI − min LI)
pruning.removal.removal_move
  Eq. (11), MRP:  δ = −w_p [G_pp]⁻¹ G_p:
  Eq. (12), MRP:  y_p = [G_pp]⁻¹ w_p
pruning.removal.removal_loss
  Eq. (12), MRP:  L = ½ w_p [G_pp]⁻¹ w_pᵀ
  Eq. (12), MRP:  y_p = [G_pp]⁻¹ w_p
pruning.removal.removal_mask
  Eq. (12), MRP:  2 L = w_p [G_pp]⁻¹ w_pᵀ, for every set p of the group
pruning.sparsity.input_norms
  Eq. (31), subbit:  ‖X_j‖ = √(1/N Σ_s ‖X_s,j‖²) = √(H_jj / 2)
pruning.sparsity.magnitude_importance
  Eq. (1), Wanda:  S_ij = |W_ij|, where all norms are one
pruning.sparsity.wanda_importance
  Eq. (1), Wanda:  S_ij = |W_ij| · ‖X_j‖₂
pruning.sparsity.ria_importance
  Eq. (32), subbit:  R_ij = (|W_ij| / Σ_i |W_ij| + |W_ij| / Σ_j |W_ij|) ‖X_j‖^a
pruning.sparsity.standardized_importance
  Eq. (2), STBLLM:  SI_ij = σ(μ(|W_ij|)) · ‖X_:,j‖₂
pruning.sparsity.nm_mask
  Eq. (33), subbit:  M_ij = [#{l in group : S_il > S_ij, or = with l < j} < N]
pruning.sparsity.row_mask
  Alg. 1, Wanda:  prune the int(C_in · s) smallest metrics of each row
pruning.sparsity.threshold_mask
  Eq. (34), subbit:  M_ij = [S_ij > sorted(S)[int(n k s)]]
pruning.spbo.spbo_schedule
  Eq. (53), subbit:  P_t = nm_mask(s, M − t, M),  t = 1, …, M − N
  Eq. (54), subbit:  of p entries in ascending order, step t takes ⌊(t − 1) p / τ⌋ … ⌊t p / τ⌋
pruning.spbo.spbo_step
  Eq. (55), subbit:  Ŵ = P ∘ (αB + μ), or α P∘B + μ with a shared mean
  Eq. (2), PBS2P:  L2 = ‖WX − ŴX‖², with W as it was before any entry went
pruning.spbo.spbo_steps
  Eq. (57), subbit:  (α, B, μ)_t from P_t and (α, B, μ)_{t−1},  t = 1, …, τ
  Eq. (2), PBS2P:  L2 = ‖WX − ŴX‖², with W as it was before any entry went
  Eq. (55), subbit:  Ŵ = P ∘ (αB + μ), or α P∘B + μ with a shared mean
pruning.spbo.spbo
  Eq. (57), subbit:  (α, B, μ)_t from P_t and (α, B, μ)_{t−1},  t = 1, …, τ
  Eq. (2), PBS2P:  L2 = ‖WX − ŴX‖², with W as it was before any entry went
  Eq. (55), subbit:  Ŵ = P ∘ (αB + μ), or α P∘B + μ with a shared mean
sign_product.sign_product_layer
  Eq. (metric), NanoQuant:  d_j = (1 − τ) H_jj + τ mean(diag H)
  Eq. (113), subbit:  W diag(√d) ≈ A B,  Ŵ = A B diag(√d)⁻¹
  Eq. (scales), NanoQuant:  s_i = mean_k |A_ik| / ‖A_:k‖,  c_j = mean_k |B_kj|
  Eq. (112), subbit:  s ← s √(‖c‖ / ‖s‖),  c ← c √(‖s‖ / ‖c‖)
signs.sign
  Eq. (2), BiLLM:  sign(x) = +1 if x ≥ 0, −1 otherwise
stbllm.stbllm_block
  Eq. (49), subbit:  every group is cut from what is kept, M_g ⊆ M
stbllm.choose_kept
  Alg. 1, STBLLM:  W ∘ M, where M holds the N largest scores of each M weights
stbllm.stbllm_layer
  Eq. (50), subbit:  Q = argmin over both forms of ½ tr((W − Q) H (W − Q)ᵀ)
  Alg. 1, STBLLM:  W ∘ M, where M holds the N largest scores of each M weights
storage.bits.nominal_bits
  Eq. (14), BiLLM:  N_param = 2 r_salient + (1 − r_salient), counted entry by entry
storage.bits.payload_bits
  Eq. (19), subbit:  payload = Σ_blocks signs + maps + 16 · (scales + means)
  Eq. (72), subbit:  levels = n k p + 8 n + 16 k + 3
  Eq. (73), subbit:  levels = n k + n ⌊k/16⌋ ⌈log2 C(16, N)⌉ + 8 n + 16 k + 3
  Eq. (114), subbit:  product = r (n + k) + 16 (n + k)
  Eq. (129), subbit:  haar = Σ_terms signs + Σ_bands n ⌈log2 g⌉ + c + 16 (scales + means)
storage.bits.index_floor
  Eq. (39), subbit:  floor = Σ_blocks n ⌊k/M⌋ log2 C(M, N) + flags
storage.patterns.pattern_bits
  Eq. (46), NanoQuant:  ⌈log2 C(M, N)⌉ bits name the kept weights of a group
storage.patterns.pattern_entropy
  Eq. (35), subbit:  h = log2 C(M, N)
storage.patterns.rank_patterns
  Eq. (36), subbit:  t = Σ_j (1 − m_j) C(M − 1 − j, r_j − 1),  r_j = Σ_{i ≥ j} m_i
storage.patterns.unrank_patterns
  Eq. (36), subbit:  t = Σ_j (1 − m_j) C(M − 1 − j, r_j − 1),  r_j = Σ_{i ≥ j} m_i
storage.printed_bits.billm_parameter_bits
  Eq. (14), BiLLM:  N_param = 2 r_salient + 1 · (1 − r_salient)
storage.printed_bits.billm_storing_bits
  Eq. (14), BiLLM:  N_storing = 1 + 1 / b_size
storage.printed_bits.billm_storage_bits
  Eq. (44), NanoQuant:  2nc + 3·16·n⌈m/k⌉ + n(m − c) + 2·2·16·n⌈m/k⌉ + nm + m
storage.printed_bits.stbllm_parameter_bits
  Eq. (N_param), STBLLM:  N_param = N/M · (2 r_salient + (1 − r_salient))
storage.printed_bits.stbllm_storing_bits
  Eq. (N_storing), STBLLM:  N_storing = 2 + 1 / b_size
storage.printed_bits.stbllm_storage_bits
  Eq. (47), NanoQuant:  3 n m N/M + n m/M ⌈log2 C(M, N)⌉ + 9 · 16 · n ⌈m/k⌉
storage.printed_bits.arb_storage_bits
  Eq. (30), subbit:  n(m + c) + nm + m + 16 (s n⌈m/k⌉ + q m),  Table 6 of ARB-LLM
typed_groups.typed_groups_layer
  Eq. (89), subbit:  E_g = Σ_{j in g} w_j Σ_i W_ij² / n
  Eq. (90), subbit:  ρ_i = (Σ_j (W_ij / c_j)² / m)^{1/2}
  Eq. (91), subbit:  w_j = 1 / U_jj²
  Eq. (87), subbit:  Ŵ_:j = r c_j ∘ ℓ(W_:j / (r c_j))
zones.allocation.allocate_codes
  Eq. (76), subbit:  fall per bit = E_g (D_t − D_u) / (b_u − b_t)
zones.column_groups.choose_column_groups
  Eq. (14), ARB-LLM:  {salient, others} × {large, small}
  Eq. (14), ARB-LLM:  G_s = 1 C_sᵀ ∘ G,  G_ns = 1 C_nsᵀ ∘ G
zones.energy.column_energies
  Eq. (74), subbit:  E_j = H_jj Σ_i W_ij² / n
zones.energy.column_scales
  Eq. (75), subbit:  c_j = (Σ_i W_ij² / n)^{p/2} / (Σ_ij W_ij² / (n m))^{p/2}
zones.running.prefix_errors
  Eq. (16), subbit:  Σ(x − q)² = Σx² − cμ² − cα² − c₀α²
zones.saliency.inverse_hessian_saliency
  Eq. (3), BiLLM:  s_i = w_i² / [H⁻¹]_ii²
zones.saliency.trailing_saliency
  Alg. 2, BiLLM:  S = W² / [H^c]²
zones.saliency.obs_saliency
  Eq. (8), PBS2P:  s_ij = W_ij² / [H⁻¹]_jj
  Eq. (2), GPTQ:  s_q = (quant(w_q) − w_q)² / [H⁻¹]_qq, here with quant = 0
zones.saliency.magnitude_saliency
  Eq. (10), subbit:  S = W
zones.salient.column_saliency
  Alg. 2, BiLLM:  Σ_i |S_ij|
zones.salient.rank_columns
  Alg. 2, BiLLM:  columns by topk(Σ_i |S_ij|)
zones.salient.salient_search_direct
  Eq. (5), BiLLM:  ‖W − (α_sal sign(W_sal) ∪ α_uns sign(W_uns))‖²
zones.salient.salient_search
  Eq. (5), BiLLM:  both parts are runs of the ranked columns
zones.salient.choose_salient
  Alg. 2, BiLLM:  columns by Σ_i |S_ij|, then the count with the smallest error
zones.split.maximum_grid
  Alg. 2, BiLLM:  p = i · max|W|,  i = 0.1, 0.2, …, 0.9
zones.split.quantile_grid
  Eq. (15), subbit:  p_i = quantile(|W|, 0.1 + 0.8 i / (levels − 1))
zones.split.breakpoint_grid
  Eq. (13), BiLLM:  p* = argmin_p θ²(p) changes only where p passes an entry
zones.split.bell_split
  Eq. (11), BiLLM:  W_c: |w| ≤ p,  W_s: |w| > p
zones.split.bell_split_search_direct
  Eq. (11), BiLLM:  θ²(p) = ‖W_s − α_s B_s‖² + ‖W_c − α_c B_c‖²
zones.split.calibrated_split_search
  Eq. (9), ARB-LLM:  L2 = ⟨S, RᵀR⟩,  R = W − Ŵ
zones.trisection.trisection
  Alg. 2, STBLLM:  M₁: |w| ≤ p₁,  M₂: p₁ < |w| ≤ p₂,  M₃: |w| > p₂,  p₂ = 2 p₁
zones.trisection.trisection_thresholds
  Eq. (40), subbit:  {t : 2t ≤ t_c}, or all t if that is empty
zones.trisection.trisection_search_direct
  Eq. (41), subbit:  θ²(t) = Σ_g ‖W_g − α_g B_g‖²,  g dense, intermediate, sparse
"""
